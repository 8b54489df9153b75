"""Summaries say what the fitted attributes say, as text and as HTML."""

import pickle
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.summary import Summary, of_prior

X = make_sinusoid_mixtures(noise=0.05, random_state=0)[0]
SPARSE = make_sinusoid_mixtures(noise=0.05, codes="laplace", random_state=0)[0]


@pytest.fixture(scope="module")
def fitted():
    return AutoencoderDecomposer(random_state=0).fit(X)


class Cells(HTMLParser):
    """The cells of all tables, and whether every tag is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.cells.append(data)


def test_summary_says_what_was_fitted(fitted):
    text = str(fitted.summary())
    assert text.startswith("AutoencoderDecomposer of 300 signals of 30 features")
    assert "2 (n_components='auto')" in text
    assert f"variance {fitted.noise_variance_:.3g}" in text
    assert f"converged after {fitted.n_iter_} iterations, loss {fitted.loss_:.4g} nats per signal" in text
    row = text.splitlines()[-1].split()
    assert row == ["1", f"{fitted.explained_variance_[1]:.4g}", f"{fitted.explained_variance_ratio_[1]:.4g}"]
    assert repr(fitted.summary()) == text


def test_html_says_the_same_and_is_well_formed(fitted):
    parsed = Cells(fitted.summary()._repr_html_())
    assert parsed.open == []
    for name, fact in fitted.summary().facts.items():
        assert {name, fact} <= set(parsed.cells)
    assert f"{fitted.explained_variance_[1]:.4g}" in parsed.cells


def test_what_comes_from_the_data_is_escaped():
    html = Summary("<b>", {"a": "x < y & z"}, {"v": np.ones(1)}, ["<i>"])._repr_html_()
    assert Cells(html).open == []
    assert "x &lt; y &amp; z" in html
    assert "<i>" not in html


def test_warnings_of_the_fit_are_kept():
    model = AutoencoderDecomposer(2, prior="laplace", max_iter=1, random_state=0)
    with pytest.warns(UserWarning, match="Training stopped after") as record:
        model.fit(SPARSE)
    words = [str(warning.message) for warning in record]
    assert list(model.summary().remarks) == words
    assert f"warning: {words[0]}" in str(pickle.loads(pickle.dumps(model)).summary())
    assert "stopped after" in model.summary().facts["training"]


def test_a_fit_that_has_taken_no_step_yet_does_not_say_what_the_next_would_gain():
    with pytest.warns(UserWarning, match="what is left to gain is not known where tol=1e-12 was asked"):
        AutoencoderDecomposer(2, max_iter=1, random_state=0).fit(X)


def test_a_refit_forgets_the_warnings_of_the_last():
    model = AutoencoderDecomposer(2, prior="laplace", max_iter=1, random_state=0)
    with pytest.warns(UserWarning, match="Training stopped after"):
        model.fit(SPARSE)
    assert model.set_params(max_iter=1000).fit(SPARSE).summary().remarks == ()


def test_what_the_basis_learned_is_a_column():
    model = AutoencoderDecomposer(2, basis="fourier").fit(X)
    np.testing.assert_array_equal(model.summary().columns["frequencies"], model.frequencies_[:, 0])


def test_without_a_prior_the_loss_is_a_squared_error():
    facts = AutoencoderDecomposer(2, prior=None).fit(X).summary().facts
    assert facts["prior"] == "none"
    assert facts["training"].endswith("mean squared error")


def test_many_components_are_cut_short():
    lines = str(Summary("s", {"a": "b"}, {"v": np.arange(30.0)})).splitlines()
    assert lines[-1].split() == ["18", "more"]
    assert len(lines) == 1 + 1 + 1 + 1 + 12 + 1


def test_noise_with_heavy_tails_says_how_heavy():
    spoilt = X + np.where(np.random.default_rng(0).random(X.shape) < 0.03, 3.0, 0.0)
    model = AutoencoderDecomposer(2, prior="uniform", noise="student_t", random_state=0).fit(spoilt)
    degrees = f"Student's t of {model.noise_.degrees_of_freedom:.3g} degrees of freedom"
    assert degrees in model.summary().facts["noise"]


def test_an_unfitted_estimator_has_no_summary():
    with pytest.raises(NotFittedError):
        AutoencoderDecomposer().summary()


@pytest.mark.parametrize(
    ("name", "scores", "words"),
    [
        ("laplace", {}, "laplace"),
        ("uniform", {"uniform": 1.0}, "uniform, whose box the codes fill evenly: no other was compared"),
        (
            "laplace",
            {"gaussian": -3.0, "laplace": -1.0, "learned": -1.25},
            "laplace, chosen of 3: 0.25 nats per signal before learned",
        ),
        (
            "uniform",
            {"uniform": -2.0, "learned": -1.5},
            "uniform, whose faces the codes show, although learned is 0.5 nats per signal likelier",
        ),
    ],
)
def test_choice_of_the_prior(name, scores, words):
    assert of_prior(name, scores) == words


def test_estimator_has_a_picture_of_itself_for_notebooks():
    html = AutoencoderDecomposer(3, prior="simplex").fit(np.abs(X))._repr_html_()
    assert "AutoencoderDecomposer" in html
    assert "simplex" in html
