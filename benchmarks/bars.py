"""What is least acceptable: each bar judges the errors of one row of a table.

A bar has ``text``, ``met(errors, yardstick)``, where `yardstick` holds the errors of the exact smallest box
on the same data (empty where there is none), and ``reached(errors, yardstick)``, whether its aim is reached
as well (None where it has no aim).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MedianAtMost:
    """The median over data seeds is at most a limit."""

    limit: float

    @property
    def text(self):
        return f"median ≤ {self.limit:g}"

    def met(self, errors, yardstick):
        return bool(np.median(errors) <= self.limit)

    def reached(self, errors, yardstick):
        return None


@dataclass(frozen=True)
class TimesYardstick:
    """Median and worst case are at most `factor` times those of the yardstick; the aim is for the median."""

    factor: float
    aim: float

    @property
    def text(self):
        return f"median and worst ≤ {self.factor:g} × box, aim {self.aim:g} × median"

    def met(self, errors, yardstick):
        median = np.median(errors) <= self.factor * np.median(yardstick)
        return bool(median and np.max(errors) <= self.factor * np.max(yardstick))

    def reached(self, errors, yardstick):
        return bool(np.median(errors) <= self.aim * np.median(yardstick))


@dataclass(frozen=True)
class AlwaysRight:
    """No data set gives an error at all."""

    @property
    def text(self):
        return "always"

    def met(self, errors, yardstick):
        return not np.any(errors)

    def reached(self, errors, yardstick):
        return None
