"""Displays of refits and of scores: what is drawn are the very arrays, in the places that labels say."""

import numpy as np
import pytest

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures

pytest.importorskip("matplotlib")

from matplotlib.colors import same_color
from matplotlib.figure import Figure

from sparse_fourier.plotting import ComponentsDisplay, ScoresDisplay, StabilityDisplay


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


@pytest.fixture(scope="module")
def diagnosed():
    X, _, _ = make_sinusoid_mixtures(noise=0.1, random_state=0)
    model = AutoencoderDecomposer(2, prior="uniform", random_state=0).fit(X)
    return X, model, model.diagnose(X, 8, random_state=0)


def test_the_map_of_refits_is_that_of_the_diagnosis(ax, diagnosed):
    _, _, diagnosis = diagnosed
    display = StabilityDisplay.from_diagnosis(diagnosis, names=["slow", "fast"], ax=ax)
    np.testing.assert_array_equal(display.image_.get_array(), diagnosis.similarities())
    assert display.image_.get_clim() == (0.0, 1.0)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["slow", "fast"]
    np.testing.assert_allclose(ax.get_yticks(), [3.5, 11.5])
    across, upright = display.borders_
    assert set(across.get_ydata()) == {7.5} == set(upright.get_xdata())
    assert display.colorbar_.ax.get_ylabel() == "absolute cosine"
    assert (display.ax_, display.figure_) == (ax, ax.figure)


def test_the_map_can_do_without_a_scale(ax):
    display = StabilityDisplay(similarities=np.eye(3), n_components=3)
    display.plot(ax, colorbar=False, image_kwargs={"cmap": "Greys"})
    assert display.colorbar_ is None
    assert display.image_.get_cmap().name == "Greys"
    assert len(display.borders_) == 4


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (4,)])
def test_a_map_that_does_not_fit_is_refused(ax, shape):
    with pytest.raises(ValueError, match="'similarities' parameter of StabilityDisplay must be square"):
        StabilityDisplay(similarities=np.ones(shape), n_components=2).plot(ax)


def test_bands_of_a_diagnosis_are_drawn_around_components(ax, diagnosed):
    _, model, diagnosis = diagnosed
    half = diagnosis.upper - diagnosis.components
    display = ComponentsDisplay.from_estimator(model, bands=half, ax=ax)
    for band, low, high in zip(display.bands_, diagnosis.lower, diagnosis.upper, strict=True):
        (path,) = band.get_paths()
        assert path.vertices[:, 1].max() == pytest.approx(high.max())
        assert path.vertices[:, 1].min() == pytest.approx(low.min())


def test_scores_are_drawn_as_they_are(ax):
    scores = np.array([[1.0, 3.0, 2.0], [0.0, 2.5, np.nan]])
    display = ScoresDisplay(scores=scores, numbers=[1, 2, 4], priors=["a", "b"], bands=0.1 + 0 * scores)
    display.plot(ax, ylabel="score")
    for line, row in zip(display.lines_, scores, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 4])
        np.testing.assert_array_equal(line.get_ydata(), row)
    assert [line.get_label() for line in display.lines_] == ["a", "b"]
    assert display.best_.get_label() == "best: a, 2"
    assert (display.best_.get_xdata()[0], display.best_.get_ydata()[0]) == (2, 3.0)
    (path,) = display.bands_[0].get_paths()
    assert (path.vertices[:, 1].min(), path.vertices[:, 1].max()) == pytest.approx((0.9, 3.1))
    color = display.bands_[0].get_facecolor()[0, :3]
    assert same_color(color, display.lines_[0].get_color())
    assert ax.get_ylabel() == "score"


def test_scores_that_do_not_fit_are_refused(ax):
    with pytest.raises(ValueError, match="'scores' parameter of ScoresDisplay must be of shape"):
        ScoresDisplay(scores=np.ones((2, 2)), numbers=[1, 2, 3], priors=["a", "b"]).plot(ax)


def test_scores_are_those_of_cross_validation(ax, diagnosed):
    from sklearn.model_selection import cross_val_score

    X, model, _ = diagnosed
    display = ScoresDisplay.from_estimator(model, X, numbers=[1, 2], priors=["uniform"], cv=2, ax=ax)
    expected = cross_val_score(AutoencoderDecomposer(2, prior="uniform", random_state=0), X, cv=2)
    assert display.scores[0, 1] == pytest.approx(expected.mean())
    assert display.bands[0, 1] == pytest.approx(expected.std(ddof=1) / np.sqrt(2))
    assert display.best_.get_xdata()[0] == 2
    assert model.n_components == 2
