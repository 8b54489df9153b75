"""Priors: what codes may be.

A prior says where codes may lie (`support`) and how probable they are there (`log_density`).
Estimated codes carry noise; an independent prior is therefore also asked for the density of a code
blurred by Gaussian noise of a given variance (`log_marginals`), which stays finite and smooth where
the support has faces.
"""

from sparse_fourier.priors.base import Prior
from sparse_fourier.priors.exponential import Exponential
from sparse_fourier.priors.gaussian import Gaussian
from sparse_fourier.priors.independent import IndependentPrior, LocationScale
from sparse_fourier.priors.laplace import Laplace
from sparse_fourier.priors.learned import Learned
from sparse_fourier.priors.simplex import Simplex
from sparse_fourier.priors.uniform import Uniform

__all__ = [
    "Exponential",
    "Gaussian",
    "IndependentPrior",
    "Laplace",
    "Learned",
    "LocationScale",
    "Prior",
    "Simplex",
    "Uniform",
]
