"""Pictures of what was learned: displays in the manner of scikit-learn.

A display is built from arrays, or from a fitted estimator by its ``from_estimator``, and draws them with its
``plot``, which keeps what it drew in attributes. Matplotlib is imported when something is drawn, not
before; its backend and settings are left as they are, and nothing is shown or saved.
"""

from sparse_fourier.plotting.codes import CodesDisplay
from sparse_fourier.plotting.comparison import ComparisonDisplay
from sparse_fourier.plotting.components import ComponentsDisplay
from sparse_fourier.plotting.losses import LossCurveDisplay
from sparse_fourier.plotting.reconstruction import ReconstructionDisplay
from sparse_fourier.plotting.scores import ScoresDisplay
from sparse_fourier.plotting.spectrum import SpectrumDisplay
from sparse_fourier.plotting.stability import StabilityDisplay

__all__ = [
    "CodesDisplay",
    "ComparisonDisplay",
    "ComponentsDisplay",
    "LossCurveDisplay",
    "ReconstructionDisplay",
    "ScoresDisplay",
    "SpectrumDisplay",
    "StabilityDisplay",
]
