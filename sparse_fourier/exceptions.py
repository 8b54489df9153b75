"""Warnings of this library's own."""

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
