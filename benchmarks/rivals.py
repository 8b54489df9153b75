"""The methods that people use for this job today.

To add a rival, write a method in the sense of `benchmarks.methods` and enter it in ``RIVALS``.
"""

import importlib.util

import numpy as np
from sklearn.decomposition import NMF, PCA, DictionaryLearning, FactorAnalysis, FastICA


def pca(X, k, seed):
    """Principal components."""
    model = PCA(n_components=k, random_state=seed)
    codes = model.fit_transform(X)
    return model.components_, codes


def fastica(X, k, seed):
    """FastICA as it comes: its own whitening, the "logcosh" contrast."""
    model = FastICA(n_components=k, random_state=seed)
    codes = model.fit_transform(X)
    return model.mixing_.T, codes


def fastica_whitened(X, k, seed):
    """FastICA on data whitened outside it, so that a constant feature or an exact rank does no harm."""
    white, back = whiten(X, k)
    model = FastICA(whiten=False, random_state=seed)
    codes = model.fit_transform(white)
    return model.mixing_.T @ back, codes


def picard_whitened(X, k, seed):
    """Picard-O with the extended density, on data whitened outside it."""
    from picard import picard

    white, back = whiten(X, k)
    _, unmixing, sources = picard(
        white.T, ortho=True, extended=True, whiten=False, centering=False, random_state=seed
    )
    return np.linalg.inv(unmixing).T @ back, sources.T


def nmf(X, k, seed):
    """Non-negative matrix factorisation; negative entries, which it refuses, are clipped to zero.

    It is run far beyond its default number of iterations, which it uses up on every data set here.
    """
    model = NMF(n_components=k, max_iter=10_000, tol=1e-6, random_state=seed)
    codes = model.fit_transform(np.maximum(X, 0))
    return model.components_, codes


def dictionary_learning(X, k, seed):
    """DictionaryLearning on centred signals, since it has no intercept.

    It is stopped after 50 iterations: its default of 1000 can take minutes.
    """
    model = DictionaryLearning(n_components=k, max_iter=50, random_state=seed)
    codes = model.fit_transform(X - X.mean(axis=0))
    return model.components_, codes


def factor_analysis(X, k, seed):
    """FactorAnalysis with varimax rotation."""
    model = FactorAnalysis(n_components=k, rotation="varimax", random_state=seed)
    codes = model.fit_transform(X)
    return model.components_, codes


def fastica_with(fun):
    """FastICA with a contrast, and iterations enough to converge."""

    def method(X, k, seed):
        model = FastICA(n_components=k, fun=fun, max_iter=1000, random_state=seed)
        codes = model.fit_transform(X)
        return model.mixing_.T, codes

    return method


def picard_raw(X, k, seed):
    """Picard with the extended density as it comes: it centres and whitens as many features as components."""
    from picard import picard

    whitening, unmixing, sources = picard(X.T, ortho=False, extended=True, random_state=seed)
    return np.linalg.inv(unmixing @ whitening).T, sources.T


def nmf_as_it_comes(X, k, seed):
    """NMF by coordinate descent from "nndsvda" to its default tolerance, with iterations enough."""
    return _nmf_from_svd(X, k, seed, tol=1e-4)


def nmf_converged(X, k, seed):
    """The same to a hundredth of that tolerance."""
    return _nmf_from_svd(X, k, seed, tol=1e-6)


def _nmf_from_svd(X, k, seed, tol):
    model = NMF(n_components=k, init="nndsvda", max_iter=10_000, tol=tol, random_state=seed)
    codes = model.fit_transform(np.maximum(X, 0))
    return model.components_, codes


def successive_projection(X, k, seed):
    """Successive projection (Araújo et al. 2001): signals that stand out, one by one, are the spectra.

    Signals are first projected on their k leading singular vectors, which takes most of the noise away.
    """
    left, singular, right = np.linalg.svd(X, full_matrices=False)
    scores = left[:, :k] * singular[:k]
    rest = scores.copy()
    chosen = []
    for _ in range(k):
        chosen.append(int(np.argmax(np.sum(rest**2, axis=1))))
        direction = rest[chosen[-1]] / np.linalg.norm(rest[chosen[-1]])
        rest -= np.outer(rest @ direction, direction)
    return scores[chosen] @ right[:k], None


def whiten(X, k):
    """Centre and whiten by a singular value decomposition, dropping null directions.

    Returns
    -------
    white : ndarray of shape (n, r)
        Uncorrelated scores of unit variance; r <= k, smaller when the data's rank is.
    back : ndarray of shape (r, d)
        ``white @ back`` is the best approximation of rank r of the centred data.
    """
    left, singular, right = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    null = singular[0] * max(X.shape) * np.finfo(X.dtype).eps
    r = min(k, int(np.sum(singular > null)))
    root = np.sqrt(len(X))
    return left[:, :r] * root, singular[:r, None] / root * right[:r]


def installed(name):
    """Whether an optional package can be imported."""
    return importlib.util.find_spec(name) is not None


RIVALS = {
    "PCA": pca,
    "FastICA": fastica,
    "FastICA whitened outside": fastica_whitened,
    "NMF": nmf,
} | ({"Picard whitened outside": picard_whitened} if installed("picard") else {})
