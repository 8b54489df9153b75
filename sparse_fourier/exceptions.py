"""Warnings of this library's own, and the words in which it refuses a parameter."""

from __future__ import annotations

__all__ = ["IdentifiabilityWarning"]


class IdentifiabilityWarning(UserWarning):
    """The data do not single out the components that a fit returned.

    Given where another basis explains the data as well: codes that look Gaussian under a prior that
    needs them not to, components of equal variance under the Gaussian prior, another optimum that is
    almost as likely.

    Examples
    --------
    >>> import warnings
    >>> from sparse_fourier.exceptions import IdentifiabilityWarning
    >>> warnings.simplefilter("error", IdentifiabilityWarning)  # doctest: +SKIP
    """


def invalid(owner: str, name: str, constraint: str, got: str) -> ValueError:
    """Return the error that says which parameter of whom was wrong, what it must be and what it was."""
    return ValueError(f"The {name!r} parameter of {owner} must be {constraint}. Got {got} instead.")
