"""Densities of one code, learned from draws: as smooth as the draws allow, hard ends where they have them.

The logarithm of a density is a penalised cubic spline plus a soft wall at either end,

    log p(h) = f(t) + log Phi((t - a) / s) + log Phi((b - t) / s) - log(scale),  t = (h - centre) / scale.

The penalty is that of Silverman [1]_: the squared third derivative of f, so that a normal density costs
nothing. Its strength is the one of largest marginal likelihood, by the updates of Wood and Fasiolo [3]_.
Hastie and Tibshirani [2]_ learn the densities of independent components in this way. Knots lie in one of
four templates, a line, a line with a peak, half a line or an interval, and the evidence chooses between them.

References
----------
.. [1] B. W. Silverman, "On the estimation of a probability density function by the maximum penalized
   likelihood method", Annals of Statistics 10(3), 795-810, 1982.
.. [2] T. Hastie and R. Tibshirani, "Independent components analysis through product density estimation",
   Advances in Neural Information Processing Systems 15, 665-672, 2003.
.. [3] S. N. Wood and M. Fasiolo, "A generalized Fellner-Schall method for smoothing parameter optimization
   with application to Tweedie location, scale and shape models", Biometrics 73(4), 1071-1081, 2017.
"""

from sparse_fourier.densities.density import Density
from sparse_fourier.densities.edges import choose, evidence_of_ends, fit_density, fit_smooth, keep, refit
from sparse_fourier.densities.following import gain_by_following
from sparse_fourier.densities.templates import HalfLine, Interval, Line, Peak

__all__ = [
    "Density",
    "HalfLine",
    "Interval",
    "Line",
    "Peak",
    "choose",
    "evidence_of_ends",
    "fit_density",
    "fit_smooth",
    "gain_by_following",
    "keep",
    "refit",
]
