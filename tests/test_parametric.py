"""Bases of one's own: the waveforms that leave least of the signals; what is wrong is named."""

import pickle

import numpy as np
import pytest
from scipy.optimize import curve_fit
from sklearn.base import clone

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.bases import ParametricBasis
from sparse_fourier.metrics import worst_relative_error


class Peaks(ParametricBasis):
    names = ("centres", "widths")

    def __init__(self, step=4):
        self.step = step

    def evaluate(self, parameters):
        centres, widths = parameters.T[:, :, None]
        return np.exp(-0.5 * ((np.arange(60) - centres) / widths) ** 2)

    def candidates(self, n_features):
        grid = np.meshgrid(np.arange(0, n_features, self.step), [2, 5, 12])
        return np.stack(grid, axis=-1).reshape(-1, 2)


TRUE = np.array([[15.3, 4.0], [22.1, 6.0], [45.0, 3.0]])


def mixtures(n=150, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(size=(n, 3)) @ Peaks().evaluate(TRUE) + noise * rng.standard_normal((n, 60))


@pytest.fixture(scope="module")
def fitted():
    return AutoencoderDecomposer(3, prior="uniform", basis=Peaks(), random_state=0).fit(mixtures())


def test_parameters_of_exact_signals_are_exact(fitted):
    order = np.argsort(fitted.centres_.ravel())
    learned = np.hstack([fitted.centres_, fitted.widths_])[order]
    np.testing.assert_allclose(learned, TRUE, rtol=1e-7)
    assert fitted.converged_


def test_components_are_the_waveforms_in_their_sizes(fitted):
    waves = fitted.basis_.evaluate(fitted.basis_.parameters)
    sizes = fitted.basis_.sizes[:, None] / np.linalg.norm(waves, axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.components_, sizes * waves, atol=1e-12)
    assert worst_relative_error(Peaks().evaluate(TRUE), fitted.components_) < 1e-6


def test_one_component_agrees_with_a_fit_of_the_curve():
    """Signals that are multiples of one noisy peak: its parameters are those that SciPy fits to it."""
    rng = np.random.default_rng(3)
    wave = Peaks().evaluate(TRUE[:1])[0] + 0.05 * rng.standard_normal(60)
    signals = rng.laplace(size=(80, 1)) * wave
    model = AutoencoderDecomposer(1, prior="gaussian", basis=Peaks(), fit_intercept=False).fit(signals)

    def peak(x, height, centre, width):
        return height * np.exp(-0.5 * ((x - centre) / width) ** 2)

    (_, centre, width), _ = curve_fit(peak, np.arange(60), wave, p0=[1, 15, 4])
    np.testing.assert_allclose([model.centres_[0, 0], model.widths_[0, 0]], [centre, width], rtol=1e-5)


def test_what_is_known_of_the_waveforms_lowers_the_error():
    signals = mixtures(noise=0.3)
    errors = [
        worst_relative_error(
            Peaks().evaluate(TRUE),
            AutoencoderDecomposer(3, prior="uniform", basis=basis, random_state=0).fit(signals).components_,
        )
        for basis in (Peaks(), "free")
    ]
    assert errors[0] < 0.5 * errors[1]


def test_clones_pickles_and_has_parameters(fitted):
    copied = clone(fitted).set_params(basis__step=5)
    assert (copied.basis.step, fitted.basis.step, copied.basis.parameters) == (5, 4, None)
    served = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(served.transform(mixtures()), fitted.transform(mixtures()))


def test_basis_that_was_given_learns_nothing():
    basis = Peaks()
    AutoencoderDecomposer(2, prior="uniform", basis=basis, random_state=0).fit(mixtures())
    assert basis.parameters is None


def test_missing_entries_are_refused():
    signals = mixtures()
    signals[3, 4] = np.nan
    with pytest.raises(ValueError, match=r"basis Peaks cannot be fitted to X with missing entries"):
        AutoencoderDecomposer(3, prior="uniform", basis=Peaks()).fit(signals)


class Flat(Peaks):
    def evaluate(self, parameters):
        return np.ones(60)


class Nowhere(Peaks):
    def candidates(self, n_features):
        return np.full((4, 2), np.nan)


class Unnamed(Peaks):
    names = ("centres",)


@pytest.mark.parametrize(
    ("basis", "words"),
    [
        (Flat(), r"'evaluate' of the basis Flat must return finite waveforms of shape \(45, 60\)"),
        (Nowhere(), r"'candidates' of the basis Nowhere must return finite parameters of shape \(m, 2\)"),
        (Unnamed(), r"'candidates' of the basis Unnamed must return finite parameters of shape \(m, 1\)"),
    ],
    ids=lambda part: type(part).__name__,
)
def test_what_a_basis_returns_is_examined(basis, words):
    with pytest.raises(ValueError, match=words):
        AutoencoderDecomposer(2, prior="uniform", basis=basis).fit(mixtures())


def cramer_rao(codes, noise):
    """Return the bound of the parameters' standard deviations, codes and intercept unknown, shape (k, p)."""
    bands, h = Peaks().evaluate(TRUE), 1e-5
    moved = np.stack([(Peaks().evaluate(TRUE + step)[j] - bands[j]) / h for j, step in steps(h)])
    left = moved @ (np.eye(60) - np.linalg.pinv(bands) @ bands)
    owners = [j for j, _ in steps(h)]
    covariance = np.cov(codes.T, ddof=0)[np.ix_(owners, owners)]
    information = len(codes) / noise**2 * covariance * (left @ left.T)
    return np.sqrt(np.diag(np.linalg.inv(information))).reshape(TRUE.shape)


def steps(h):
    for j, a in np.ndindex(TRUE.shape):
        step = np.zeros(TRUE.shape)
        step[j, a] = h
        yield j, step


@pytest.mark.slow
def test_errors_reach_the_cramer_rao_bound():
    ratios = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        codes = rng.uniform(size=(300, 3))
        signals = codes @ Peaks().evaluate(TRUE) + 0.1 * rng.standard_normal((300, 60))
        model = AutoencoderDecomposer(3, prior="gaussian", basis=Peaks()).fit(signals)
        order = np.argsort(model.centres_.ravel())
        errors = np.hstack([model.centres_, model.widths_])[order] - TRUE
        ratios.append(errors / cramer_rao(codes, 0.1))
    assert np.sqrt(np.mean(np.square(ratios))) == pytest.approx(1.0, abs=0.15)
