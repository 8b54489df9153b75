"""Parameters of parts by name, as scikit-learn's `clone` and searches expect them."""

from __future__ import annotations

from inspect import signature
from typing import Any, ClassVar, Self


class Configurable:
    """Base of parts whose parameters are those of their constructor, kept under the same names."""

    kind: ClassVar[str]
    """What such a part is called in messages."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, as scikit-learn's `clone` and searches expect.

        Parameters
        ----------
        deep : bool, default=True
            Ignored: a part holds no estimators.

        Returns
        -------
        dict
            Values by name.
        """
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters by name.

        Parameters
        ----------
        **parameters : dict
            Values by name.

        Returns
        -------
        object
            The part itself.

        Raises
        ------
        ValueError
            If a name is not one of its parameters.
        """
        known = self.get_params()
        for name, value in parameters.items():
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for {self.kind} {self}. Valid parameters are: "
                    f"{sorted(known)!r}."
                )
            setattr(self, name, value)
        return self
