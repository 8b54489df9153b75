"""What is least acceptable: each bar judges the errors of one row of a table.

A bar has ``text``, ``needs_rival``, ``value(found)``, which sums up the errors of one method, and
``extreme(found)``, the worst of them; ``met(errors)`` and ``reached(errors)``, whether its aim is reached as
well (None where it has no aim), look at the errors of all methods, name -> array.
"""

from dataclasses import dataclass

import numpy as np

OURS = "ours"
BOX = "exact box"
STATISTICS = {"mean": np.mean, "median": np.median, "worst": np.max}


class Bar:
    """What most bars have in common."""

    needs_rival = False

    def value(self, found):
        return np.median(found)

    def extreme(self, found):
        return np.max(found)

    def reached(self, errors):
        return None


@dataclass(frozen=True)
class AtMost(Bar):
    """A statistic of our errors is at most a limit, and at most the aim where there is one.

    `worst` limits the largest error as well; `aim` is a number, or the name of a rival for its statistic.
    """

    statistic: str
    limit: float
    aim: float | str | None = None
    worst: float | None = None

    @property
    def text(self):
        aim = "" if self.aim is None else f", aim {self.aim}"
        worst = "" if self.worst is None else f", worst ≤ {self.worst:g}"
        return f"{self.statistic} ≤ {self.limit:g}{worst}{aim}"

    @property
    def needs_rival(self):
        return isinstance(self.aim, str)

    def value(self, found):
        return STATISTICS[self.statistic](found)

    def met(self, errors):
        worst = self.worst is None or np.max(errors[OURS]) <= self.worst
        return bool(self.value(errors[OURS]) <= self.limit and worst)

    def reached(self, errors):
        if self.aim is None:
            return None
        aim = self.value(errors[self.aim]) if isinstance(self.aim, str) else self.aim
        return bool(self.value(errors[OURS]) <= aim)


@dataclass(frozen=True)
class AtLeast(Bar):
    """The mean of what we count is at least a limit, and at least the aim where there is one.

    `limit` is a number, or the name of a rival, whose mean ours must exceed.
    """

    limit: float | str
    aim: float | None = None

    @property
    def text(self):
        limit = f"> {self.limit}" if self.needs_rival else f"≥ {self.limit:g}"
        return f"mean {limit}" + ("" if self.aim is None else f", aim {self.aim:g}")

    @property
    def needs_rival(self):
        return isinstance(self.limit, str)

    def value(self, found):
        return np.mean(found)

    def extreme(self, found):
        return np.min(found)

    def met(self, errors):
        found = np.mean(errors[OURS])
        return bool(found > np.mean(errors[self.limit]) if self.needs_rival else found >= self.limit)

    def reached(self, errors):
        return None if self.aim is None else bool(np.mean(errors[OURS]) >= self.aim)


@dataclass(frozen=True)
class TimesBestRival(Bar):
    """A statistic of our errors is at most `factor` times that of the best rival by the same statistic.

    Errors up to `floor` are rounding errors and always acceptable.
    """

    statistic: str
    factor: float
    floor: float = 0.0
    needs_rival = True

    @property
    def text(self):
        return f"{self.statistic} ≤ {self.factor:g} × best rival"

    def value(self, found):
        return STATISTICS[self.statistic](found)

    def met(self, errors):
        best = min(self.value(found) for name, found in errors.items() if name != OURS and len(found))
        return bool(self.value(errors[OURS]) <= max(self.factor * best, self.floor))


@dataclass(frozen=True)
class TimesBox(Bar):
    """Median and worst case are at most `factor` times those of the exact smallest box on the same data.

    The aim is for the median.
    """

    factor: float
    aim: float

    @property
    def text(self):
        return f"median and worst ≤ {self.factor:g} × box, aim {self.aim:g} × median"

    def met(self, errors):
        ours, box = errors[OURS], errors[BOX]
        median = np.median(ours) <= self.factor * np.median(box)
        return bool(median and np.max(ours) <= self.factor * np.max(box))

    def reached(self, errors):
        return bool(np.median(errors[OURS]) <= self.aim * np.median(errors[BOX]))


@dataclass(frozen=True)
class AlwaysRight(Bar):
    """No data set gives an error at all."""

    @property
    def text(self):
        return "always"

    def met(self, errors):
        return not np.any(errors[OURS])
