"""Learn the basis functions of an ensemble of signals.

`AutoencoderDecomposer` finds codes, components and an intercept with
`X ≈ codes @ components_ + intercept_`; what is assumed of the codes picks the basis.
"""

from sparse_fourier.decomposer import AutoencoderDecomposer

__all__ = ["AutoencoderDecomposer"]
__version__ = "0.1.0"
