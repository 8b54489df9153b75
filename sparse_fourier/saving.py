"""Saved states of estimators: who wrote them, in which form, and what this version makes of them."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

FORMAT = 1
"""Form of a saved state; it grows when older versions could no longer read one."""

_VERSION_KEY, _FORMAT_KEY = "_sparse_fourier_version", "_state_format"


def stamped(state: dict[str, Any], version: str) -> dict[str, Any]:
    """Return a state with who wrote it, and in which form."""
    return {**state, _VERSION_KEY: version, _FORMAT_KEY: FORMAT}


def restored(state: dict[str, Any], kind: type, version: str) -> dict[str, Any]:
    """Return a state as this version needs it: without stamp, and with parameters that came later.

    Parameters
    ----------
    state : dict
        As `stamped` returned it, in any version.
    kind : type
        The estimator's class, whose parameters have defaults.
    version : str
        Of the library that reads.

    Raises
    ------
    ValueError
        If a newer version wrote it in a newer form.

    Warns
    -----
    UserWarning
        If another version wrote it.
    """
    state = dict(state)
    written, writer = state.pop(_FORMAT_KEY, 0), state.pop(_VERSION_KEY, "before 0.1")
    if written > FORMAT:
        raise ValueError(
            f"This estimator was saved by sparse_fourier {writer}, this is {version}: its format is newer. "
            "Upgrade sparse_fourier to load it."
        )
    if writer != version:
        warnings.warn(
            f"This estimator was saved by sparse_fourier {writer}, this is {version}: what it computes may "
            "differ. Fit it anew where that matters.",
            UserWarning,
            stacklevel=4,
        )
    parameters = inspect.signature(kind).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    return {**defaults, **state}
