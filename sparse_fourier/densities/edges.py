"""Densities of codes: fitted anew, and with hard ends or a cusp where the evidence is for them."""

from __future__ import annotations

import numpy as np

from sparse_fourier.densities.density import Density
from sparse_fourier.densities.fitting import LONG, SHORT, Frame, Sample, fit_in_frame, sample_of
from sparse_fourier.densities.templates import HalfLine, Interval, Line, Peak

_SHARP = 3.0  # curvature at a peak that may be a cusp; that of the normal density is one
_SAMPLES_BEYOND = 1.5  # of a smooth density, at an end that is hard


def fit_smooth(
    codes: np.ndarray,
    weights: np.ndarray,
    n_samples: float,
    start: Density | None = None,
    strength: float | None = None,
    rounds: int = SHORT,
) -> Density:
    """Return the density without edges.

    Parameters
    ----------
    codes : array of shape (n,)
    weights : array of shape (n,)
        Positive or zero, of sum one.
    n_samples : float
        Number of samples that the codes count as.
    start : Density, optional
        Where to begin; a density without edges of nearly the same codes saves most of the time.
    strength : float, optional
        Of the penalty; learned if None.
    rounds : int, default=20
        Most Newton steps.

    Returns
    -------
    Density
    """
    sample = sample_of(codes, weights, n_samples)
    if start is None or start.template.stays:
        frame = Frame(Line(), sample.mean, sample.spread, 0.0)
    else:
        template = Line() if strength is None else start.template
        frame = Frame(template, sample.mean, float(np.copysign(sample.spread, start.scale)), 0.0)
    return fit_in_frame(sample, frame, start, strength, rounds)


def refit(
    codes: np.ndarray, weights: np.ndarray, n_samples: float, density: Density, frozen: bool
) -> Density:
    """Return the density fitted to codes that have moved a little; edges and cusps stay where they are.

    Parameters
    ----------
    codes : array of shape (n,)
    weights : array of shape (n,)
        Positive or zero, of sum one.
    n_samples : float
        Number of samples that the codes count as.
    density : Density
        Of the codes before.
    frozen : bool
        Whether strength and stiffness stay as they are.

    Returns
    -------
    Density
    """
    strength = density.strength if frozen else None
    if density.template.stays:
        return fit_in_frame(sample_of(codes, weights, n_samples), _frame(density), density, strength, SHORT)
    return fit_smooth(codes, weights, n_samples, density, strength)


def _frame(density: Density) -> Frame:
    return Frame(density.template, density.centre, density.scale, density.blur)


def _likely_frames(sample: Sample, blur: float, smooth: Density) -> list[Frame]:
    """Return frames with edges where a smooth density reaches too far, with a cusp where it bends."""
    low, high = sample.ends
    peak, sharpness = smooth.peak
    below, above = (mass * smooth.n_samples > _SAMPLES_BEYOND for mass in smooth.masses_beyond(low, high))
    candidates = [
        (below, Frame(HalfLine(), low, sample.mean - low, blur)),
        (above, Frame(HalfLine(), high, sample.mean - high, blur)),
        (below and above, Frame(Interval(), low, high - low, blur)),
        (sharpness * sample.spread**2 > _SHARP, Frame(Peak(), peak, sample.spread, 0.0)),
    ]
    return [frame for likely, frame in candidates if likely]


def evidence_of_ends(
    codes: np.ndarray, weights: np.ndarray, n_samples: float, blur: float
) -> tuple[float, float]:
    """Return the evidence for a density with smooth tails, and for one with hard ends on both sides.

    Parameters
    ----------
    codes : array of shape (n,)
    weights : array of shape (n,)
        Positive or zero, of sum one.
    n_samples : float
        Number of samples that the codes count as.
    blur : float
        Width of edges, relative to the range of the codes.

    Returns
    -------
    smooth, edged : float
        Logarithms of the marginal likelihood of all samples, less what both edges cost, as in `choose`.
    """
    sample, smooth = sample_of(codes, weights, n_samples), fit_smooth(codes, weights, n_samples, rounds=LONG)
    low, high = sample.ends
    edged = fit_in_frame(sample, Frame(Interval(), low, high - low, blur), smooth)
    return smooth.evidence, edged.evidence + 2 * float(np.log(blur))


def choose(
    codes: np.ndarray, weights: np.ndarray, n_samples: float, blur: float, density: Density | None = None
) -> Density:
    """Return the density of largest evidence: smooth, with edges, or with a cusp at its peak.

    An edge costs minus the logarithm of its blur: of where it may be once the samples have been
    seen, relative to where it might have been before. Where a smooth density leaves no room for more than a
    sample or two beyond the codes no edge is tried, and no cusp where it is flat like the normal one.

    Parameters
    ----------
    codes : array of shape (n,)
    weights : array of shape (n,)
        Positive or zero, of sum one.
    n_samples : float
        Number of samples that the codes count as.
    blur : float
        Width of edges, relative to the range of the codes or to their mean distance from the edge.
    density : Density, optional
        A smooth one of these codes, to return in place of a new fit where it is the best.

    Returns
    -------
    Density
    """
    sample = sample_of(codes, weights, n_samples)
    smooth = density or fit_smooth(codes, weights, n_samples, rounds=LONG)
    frames = _likely_frames(sample, blur, smooth)
    if not frames:
        return smooth
    own, smooth = smooth, fit_smooth(codes, weights, n_samples, rounds=LONG) if density else smooth
    edged = [d for d in (fit_in_frame(sample, frame, smooth) for frame in frames) if d.converged]
    best = max([smooth, *edged], key=lambda d: d.evidence + np.log(blur) * d.edges)
    return own if best is smooth else best


def keep(codes: np.ndarray, weights: np.ndarray, n_samples: float, density: Density, blur: float) -> Density:
    """Return the density itself, or one without edges if these are not worth their price.

    Parameters
    ----------
    codes : array of shape (n,)
    weights : array of shape (n,)
        Positive or zero, of sum one.
    n_samples : float
        Number of samples that the codes count as.
    density : Density
        Of these codes.
    blur : float
        Width of its edges.

    Returns
    -------
    Density
    """
    if not density.edges:
        return density
    smooth = fit_smooth(codes, weights, n_samples, rounds=LONG)
    return density if density.evidence + density.edges * np.log(blur) > smooth.evidence else smooth


def fit_density(codes: np.ndarray, weights: np.ndarray, n_samples: float) -> Density:
    """Return the density of codes: edges by evidence, then less stiffness where it bends sharply.

    Parameters
    ----------
    codes : array of shape (n,)
    weights : array of shape (n,)
        Positive or zero, of sum one.
    n_samples : float
        Number of samples that the codes count as.

    Returns
    -------
    Density
    """
    sample, density = sample_of(codes, weights, n_samples), choose(codes, weights, n_samples, 1 / n_samples)
    for _ in range(2):
        density = fit_in_frame(sample, _frame(density), density)
    return density
