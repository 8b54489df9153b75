"""Displays: what is drawn are the very arrays, matched with the truth, on the axes asked for."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import NotFittedError

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.plotting import (
    CodesDisplay,
    ComparisonDisplay,
    ComponentsDisplay,
    LossCurveDisplay,
    ReconstructionDisplay,
    SpectrumDisplay,
)

pytest.importorskip("matplotlib")

from matplotlib.colors import same_color
from matplotlib.figure import Figure


@pytest.fixture
def ax():
    return Figure(layout="constrained").subplots()


@pytest.fixture
def waves():
    times = np.linspace(0, np.pi, 30)
    return times, np.sin(np.outer([1.0, 2.0, 3.0], times))


@pytest.fixture
def codes():
    return np.random.default_rng(0).uniform(size=(50, 7))


class FittedPrior:
    support = "unit"


class Fitted:
    """The least that a display needs of an estimator whose prior is bounded."""

    prior_ = FittedPrior()

    def transform(self, X):
        return X[:, :2]


# ------------------------------------------------------------------------------------------------- components


def test_lines_are_the_components(ax, waves):
    times, components = waves
    display = ComponentsDisplay(components=components, positions=times).plot(
        ax, xlabel="time (s)", ylabel="mV"
    )
    assert len(display.lines_) == 3
    for line, component in zip(display.lines_, components, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), times)
        np.testing.assert_array_equal(line.get_ydata(), component)
    assert display.truth_lines_ == []
    assert display.ax_ is ax
    assert display.axes_ == [ax]
    assert display.figure_ is ax.figure
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "mV")


def test_legend_names_the_components(ax, waves):
    ComponentsDisplay(components=waves[1], truth=waves[1], names=["a", "b", "c"]).plot(ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c", "truth"]


def test_no_legend(ax, waves):
    ComponentsDisplay(components=waves[1]).plot(ax, legend=False)
    assert ax.get_legend() is None


def test_features_are_counted_without_positions(ax, waves):
    display = ComponentsDisplay(components=waves[1]).plot(ax)
    np.testing.assert_array_equal(display.lines_[0].get_xdata(), np.arange(30))
    assert ax.get_xlabel() == "feature"
    assert display.lines_[0].get_label() == "component 0"


def test_positions_in_any_order_and_dates(ax, waves):
    days = np.datetime64("2024-01-01") + np.arange(30)
    shuffled = np.random.default_rng(0).permutation(30)
    display = ComponentsDisplay(components=waves[1][:, shuffled], positions=days[shuffled]).plot(ax)
    np.testing.assert_array_equal(display.lines_[1].get_xdata(orig=True), days)
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), waves[1][1])


@pytest.mark.parametrize(
    ("align", "factors"), [("sign", [1, 1, -1]), ("scale", [1 / 3, 0.5, -4]), (None, [1, 1, 1])]
)
def test_truth_is_matched_in_order_sign_and_scale(ax, waves, align, factors):
    truth = waves[1]
    learned = np.array([[3.0], [2.0], [-0.25]]) * truth[[2, 0, 1]]
    display = ComponentsDisplay(components=learned, truth=truth).plot(ax, align=align)
    for j, true in enumerate([2, 0, 1]):
        np.testing.assert_allclose(display.lines_[j].get_ydata(), factors[j] * learned[j], atol=1e-12)
        np.testing.assert_array_equal(display.truth_lines_[true].get_ydata(), truth[true])


def test_colours_agree_between_methods(waves):
    first, second = Figure().subplots(1, 2)
    one = ComponentsDisplay(components=waves[1], truth=waves[1]).plot(first)
    other = ComponentsDisplay(components=-waves[1][[2, 0, 1]], truth=waves[1]).plot(second)
    for j, true in enumerate([2, 0, 1]):
        assert same_color(other.lines_[j].get_color(), one.lines_[true].get_color())
    assert len({line.get_color() for line in one.lines_}) == 3


@pytest.mark.parametrize(("n_learned", "n_true"), [(3, 1), (1, 3)])
def test_truth_of_another_size(ax, waves, n_learned, n_true):
    truth = waves[1][3 - n_true :]
    display = ComponentsDisplay(components=waves[1][3 - n_learned :], truth=truth).plot(ax)
    assert (len(display.lines_), len(display.truth_lines_)) == (n_learned, n_true)
    assert len({line.get_color() for line in display.lines_}) == n_learned
    assert sum(line.get_label() == "truth" for line in display.truth_lines_) == 1


def test_many_components_get_panels(ax):
    components = np.random.default_rng(0).normal(size=(7, 20))
    display = ComponentsDisplay(components=components, truth=components[::-1]).plot(ax, xlabel="t")
    assert len(display.axes_) == 7
    assert not ax.axison
    for slot, panel in enumerate(display.axes_):
        assert display.lines_[6 - slot].axes is panel
        assert display.truth_lines_[slot].axes is panel
        assert panel.get_title() == f"component {6 - slot}"
    assert [panel.get_xlabel() for panel in display.axes_] == ["", "", "", "", "t", "t", "t"]
    assert {panel.get_ylim() for panel in display.axes_} == {display.axes_[0].get_ylim()}


def test_separate_panels_on_request(ax, waves):
    assert len(ComponentsDisplay(components=waves[1]).plot(ax, separate=True).axes_) == 3


def test_axes_outside_a_grid_are_divided(waves):
    figure = Figure()
    place = (0.5, 0.5, 0.25, 0.25)
    display = ComponentsDisplay(components=waves[1]).plot(figure.add_axes(place), separate=True)
    corners = np.array([panel.get_position().extents for panel in display.axes_])
    np.testing.assert_allclose(corners.min(0)[:2], 0.5)
    np.testing.assert_allclose(corners.max(0)[2:], 0.75)


def test_images(ax):
    rows = np.random.default_rng(0).normal(size=(3, 12))
    display = ComponentsDisplay(components=rows, image_shape=(3, 4), truth=-rows[[1, 2, 0]]).plot(ax)
    assert display.lines_ == []
    assert (len(display.axes_), len(display.images_), len(display.truth_images_)) == (6, 3, 3)
    for image, row in zip(display.images_, rows, strict=True):
        np.testing.assert_array_equal(image.get_array(), -row.reshape(3, 4))
        assert image.get_clim() == (-abs(row).max(), abs(row).max())
    assert [panel.get_title() for panel in display.axes_[:3]] == ["component 1", "component 2", "component 0"]
    assert display.truth_images_[0].axes is display.axes_[3]


def test_nonnegative_images_start_at_zero(ax):
    display = ComponentsDisplay(components=np.arange(1.0, 5.0)[None], image_shape=(2, 2)).plot(ax)
    assert display.images_[0].get_clim() == (0.0, 4.0)


def test_style_is_the_callers(ax, waves):
    display = ComponentsDisplay(components=waves[1], truth=waves[1])
    display.plot(ax, line_kwargs={"linewidth": 7}, truth_kwargs={"color": "red", "label": "model"})
    assert display.lines_[0].get_linewidth() == 7
    assert display.truth_lines_[0].get_color() == "red"
    assert display.truth_lines_[0].get_label() == "model"


def test_components_of_an_estimator(ax):
    X, _, truth = make_sinusoid_mixtures(random_state=0)
    pca = PCA(2).fit(X)
    display = ComponentsDisplay.from_estimator(pca, X, truth=truth, ax=ax, align=None)
    assert isinstance(display, ComponentsDisplay)
    assert display.ax_ is ax
    for line, component in zip(display.lines_, pca.components_, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), component)


def test_components_of_an_unfitted_estimator(ax):
    with pytest.raises(NotFittedError):
        ComponentsDisplay.from_estimator(NMF(2), ax=ax)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"positions": np.arange(29)},
            r"'positions' parameter of ComponentsDisplay must be of shape \(30,\)",
        ),
        ({"image_shape": (5, 5)}, "'image_shape' parameter .* whose product is the 30 features"),
        ({"names": ["a"]}, "'names' parameter .* a sequence of 3 names"),
        ({"truth": np.ones((2, 29))}, "29"),
    ],
)
def test_shapes_that_do_not_fit(ax, waves, parameters, words):
    with pytest.raises(ValueError, match=words):
        ComponentsDisplay(components=waves[1], **parameters).plot(ax)


def test_unknown_alignment(ax, waves):
    with pytest.raises(ValueError, match=r"'align' parameter .* Got 'best' instead"):
        ComponentsDisplay(components=waves[1]).plot(ax, align="best")


# ------------------------------------------------------------------------------------------------------ codes


def test_two_codes_are_one_scatter_plot(ax, codes):
    display = CodesDisplay(codes=codes[:, :2]).plot(ax)
    np.testing.assert_array_equal(display.scatters_[0].get_offsets(), codes[:, :2])
    assert display.axes_ == [ax]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("code 0", "code 1")
    assert (display.truth_scatters_, display.support_lines_, ax.get_legend()) == ([], [], None)


def test_true_codes_are_matched_but_not_changed(ax, codes):
    truth = 3 - 2 * codes[:, [1, 0]]
    display = CodesDisplay(codes=codes[:, :2], truth=truth).plot(ax)
    np.testing.assert_array_equal(display.truth_scatters_[0].get_offsets(), truth[:, [1, 0]])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["truth", "codes"]


def test_true_codes_are_fitted_to_those_learned(ax, codes):
    truth = 3 - 2 * codes[:, [1, 0]]
    display = CodesDisplay(codes=codes[:, :2], truth=truth).plot(ax, align="scale")
    offsets = display.truth_scatters_[0].get_offsets()
    np.testing.assert_allclose(offsets, display.scatters_[0].get_offsets(), atol=1e-12)
    noisy = truth + np.random.default_rng(1).standard_normal(truth.shape)
    display = CodesDisplay(codes=codes[:, :2], truth=noisy).plot(Figure().subplots(), align="scale")
    for column, place in enumerate((1, 0)):
        slope, intercept = np.polyfit(noisy[:, place], codes[:, column], 1)
        expected = slope * noisy[:, place] + intercept
        np.testing.assert_allclose(display.truth_scatters_[0].get_offsets()[:, column], expected, atol=1e-12)


def test_unknown_alignment_of_codes(ax, codes):
    with pytest.raises(ValueError, match=r"'align' parameter of CodesDisplay .* Got 'sign' instead"):
        CodesDisplay(codes=codes).plot(ax, align="sign")


def test_missing_true_codes_are_left_out(ax, codes):
    display = CodesDisplay(codes=codes, truth=codes[:, [2]]).plot(ax)
    heights = [sum(patch.get_height() for patch in bars) for bars in display.histograms_]
    assert heights == [50] * 7
    assert len(display.truth_histograms_) == 1
    assert display.truth_histograms_[0][0].axes is display.axes_[2]


def test_several_codes_are_a_triangle(ax, codes):
    display = CodesDisplay(codes=codes[:, :4], truth=codes[:, :4], support="unit").plot(ax)
    assert len(display.axes_) == len(display.scatters_) == len(display.support_lines_) == 6
    pairs = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    for scatter, panel, pair in zip(display.scatters_, display.axes_, pairs, strict=True):
        assert scatter.axes is panel
        np.testing.assert_array_equal(scatter.get_offsets(), codes[:, pair])
    assert [panel.get_xlabel() for panel in display.axes_] == ["", "", "", "code 0", "code 1", "code 2"]
    assert [panel.get_ylabel() for panel in display.axes_] == ["code 1", "code 2", "", "code 3", "", ""]


@pytest.mark.parametrize("k", [1, 7])
def test_one_code_and_many_are_histograms(ax, codes, k):
    display = CodesDisplay(codes=codes[:, :k], support="unit").plot(ax)
    assert len(display.axes_) == len(display.histograms_) == k
    assert len(display.support_lines_) == 2 * k
    for j, bars in enumerate(display.histograms_):
        edges = [bar.get_x() for bar in bars]
        assert sum(bar.get_height() for bar in bars) == 50
        assert min(edges) == pytest.approx(codes[:, j].min())
        assert display.axes_[j].get_xlabel() == f"code {j}"


@pytest.mark.parametrize(
    ("support", "corners"), [("unit", 4), ("simplex", 3), ("nonnegative", 0), ("real", 0)]
)
def test_edge_of_the_support(ax, codes, support, corners):
    display = CodesDisplay(codes=codes[:, :2], support=support).plot(ax)
    outline = [line.get_xydata() for line in display.support_lines_]
    assert len(np.unique(np.vstack([np.empty((0, 2)), *outline]), axis=0)) == corners


def test_codes_of_an_estimator_and_its_support(ax, codes):
    display = CodesDisplay.from_estimator(Fitted(), codes, truth=codes[:, :2], names=["a", "b"], ax=ax)
    np.testing.assert_array_equal(display.scatters_[0].get_offsets(), codes[:, :2])
    assert len(display.support_lines_) == 1
    assert ax.get_xlabel() == "a"


def test_codes_of_an_estimator_without_a_prior(ax, codes):
    display = CodesDisplay.from_estimator(PCA(2).fit(codes), codes, ax=ax)
    assert display.support_lines_ == []


def test_samples_are_coloured_by_a_label(ax, codes):
    display = CodesDisplay(codes=codes[:, :2]).plot(ax, scatter_kwargs={"c": np.arange(50)})
    np.testing.assert_array_equal(display.scatters_[0].get_array(), np.arange(50))


def test_large_clouds_have_small_points(codes):
    few, many = Figure().subplots(1, 2)
    small = CodesDisplay(codes=np.tile(codes[:, :2], (100, 1))).plot(many).scatters_[0].get_sizes()
    assert small < CodesDisplay(codes=codes[:, :2]).plot(few).scatters_[0].get_sizes()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"truth": np.ones((49, 7))}, r"'truth' parameter of CodesDisplay must be of shape \(50, m\)"),
        ({"names": ["a"]}, "'names' parameter of CodesDisplay must be a sequence of 7 names"),
    ],
)
def test_codes_whose_shapes_do_not_fit(ax, codes, parameters, words):
    with pytest.raises(ValueError, match=words):
        CodesDisplay(codes=codes, **parameters).plot(ax)


# --------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "display", [ComponentsDisplay(components=np.eye(6)), CodesDisplay(codes=np.eye(6), truth=np.eye(6))]
)
def test_a_figure_is_made_and_saved_without_warning(display, tmp_path):
    display.plot().figure_.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.mark.slow
def test_matplotlib_is_imported_late_and_left_alone():
    code = (
        "import sys, sparse_fourier.plotting as p; assert 'matplotlib' not in sys.modules\n"
        "import matplotlib as m; from matplotlib.figure import Figure; before = dict(m.rcParams)\n"
        "p.ComponentsDisplay(components=[[1.0, 2.0]]).plot(Figure().subplots())\n"
        "p.CodesDisplay(codes=[[1.0, 2.0], [2.0, 1.0]]).plot(Figure().subplots())\n"
        "assert dict(m.rcParams) == before and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_without_matplotlib(monkeypatch, waves):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "sparse_fourier\[plot\]"'):
        ComponentsDisplay(components=waves[1]).plot()


# --------------------------------------------------------------------------------------------------- spectrum


def tones(n=200):
    times = np.arange(50.0)
    codes = np.random.default_rng(0).normal(size=(n, 2)) * [3.0, 1.0]
    return codes @ np.sin(2 * np.pi * np.outer([0.1, 0.3], times) + 0.4)


def test_stems_stand_on_the_learned_frequencies_and_reach_the_periodogram(ax):
    X = tones()
    model = AutoencoderDecomposer(2, prior="laplace", basis="fourier").fit(X)
    display = SpectrumDisplay.from_estimator(model, X, truth=[0.1, 0.3], ax=ax)
    assert display.ax_ is ax
    for stem, frequency in zip(display.stems_, model.frequencies_.ravel(), strict=True):
        ((x0, y0), (x1, y1)) = stem.get_segments()[0]
        assert x0 == x1 == frequency
        assert y0 == 0
        grid, spectrum = display.line_.get_data()
        np.testing.assert_allclose(spectrum[np.argmin(np.abs(grid - frequency))], y1, rtol=0.05)
    assert [line.get_xdata()[0] for line in display.truth_lines_] == [0.1, 0.3]
    assert len(ax.get_legend().get_texts()) == 4


def test_periodogram_of_signals_with_gaps(ax):
    X = tones()
    model = AutoencoderDecomposer(2, prior="laplace", basis="fourier").fit(X)
    X[::3, ::7] = np.nan
    display = SpectrumDisplay.from_estimator(model, X, ax=ax, legend=False)
    grid, spectrum = display.line_.get_data()
    assert np.abs(grid[np.argmax(spectrum)] - 0.1) < 0.005
    assert ax.get_legend() is None


def test_estimator_without_frequencies_is_refused(ax):
    model = AutoencoderDecomposer(2).fit(tones())
    with pytest.raises(ValueError, match="fit it with basis='fourier'"):
        SpectrumDisplay.from_estimator(model, tones(), ax=ax)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"amplitudes": [[1.0, 2.0]]},
            r"'amplitudes' parameter of SpectrumDisplay must be of shape \(1, 1\)",
        ),
        ({"names": ["a", "b"]}, "'names' parameter of SpectrumDisplay must be a sequence of 1 names"),
    ],
)
def test_spectra_whose_parts_do_not_fit_are_refused(ax, change, words):
    parts = {"frequencies": [[0.1]], "amplitudes": [[1.0]], "grid": [0, 1], "spectrum": [0, 1]} | change
    with pytest.raises(ValueError, match=words):
        SpectrumDisplay(**parts).plot(ax)


# Loss curves


def test_loss_curve_is_drawn_as_it_is():
    axes = Figure().subplots()
    display = LossCurveDisplay(losses=[100.0, 1.0, 0.5], name="adam").plot(axes, ylabel="mean squared error")
    np.testing.assert_array_equal(display.line_.get_ydata(), [100.0, 1.0, 0.5])
    np.testing.assert_array_equal(display.line_.get_xdata(), [1, 2, 3])
    assert (display.ax_, display.figure_) == (axes, axes.figure)
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "mean squared error"
    assert axes.get_legend().get_texts()[0].get_text() == "adam"


def test_losses_below_zero_have_a_linear_axis():
    display = LossCurveDisplay(losses=[1.0, -3.0]).plot(line_kwargs={"color": "red"})
    assert display.ax_.get_yscale() == "linear"
    assert display.ax_.get_legend() is None
    assert display.line_.get_color() == "red"


# ------------------------------------------------------------------------------------------------------ bands


def heights(band):
    """Return the lowest and the highest of a band at each of its positions, in order."""
    path = band.get_paths()[0].vertices
    places = np.unique(path[:, 0])
    at = [path[path[:, 0] == place, 1] for place in places]
    return np.array([[values.min(), values.max()] for values in at]).T


def test_bands_follow_the_components_they_belong_to(ax, waves):
    times, truth = waves
    learned = np.array([[3.0], [-2.0]]) * truth[[2, 0]]
    below, above = np.full((2, 30), 0.1), np.full((2, 30), 0.3)
    display = ComponentsDisplay(components=learned, truth=truth, positions=times, bands=[below, above]).plot(
        ax
    )
    lower, upper = heights(display.bands_[0])
    np.testing.assert_allclose([lower, upper], learned[0] + [[-0.1], [0.3]])
    lower, upper = heights(display.bands_[1])  # turned to the sign of the truth, below is above
    np.testing.assert_allclose([lower, upper], -learned[1] + [[-0.3], [0.1]])
    assert same_color(display.bands_[1].get_facecolor()[0][:3], display.lines_[1].get_color())


def test_bands_of_images_are_images_of_half_their_width(ax):
    rows = np.random.default_rng(0).normal(size=(2, 12))
    widths = np.abs(rows) / 10
    display = ComponentsDisplay(components=rows, bands=[widths, 3 * widths], image_shape=(3, 4)).plot(ax)
    assert (display.bands_, len(display.axes_)) == ([], 4)
    np.testing.assert_allclose(display.band_images_[1].get_array(), 2 * widths[1].reshape(3, 4))
    assert display.band_images_[1].axes.get_title() == "± component 1"


def test_bands_of_frequencies(ax):
    display = SpectrumDisplay(
        frequencies=[[0.1], [0.3]],
        amplitudes=[[1.0], [2.0]],
        grid=[0, 1],
        spectrum=[0, 1],
        bands=[[0.01], [0.02]],
    ).plot(ax)
    spans = [(band.get_x(), band.get_x() + band.get_width()) for band in display.bands_]
    np.testing.assert_allclose(spans, [(0.09, 0.11), (0.28, 0.32)])


def test_whiskers_part_the_methods_and_stay_on_the_axis(ax):
    display = ComparisonDisplay(
        errors=[[0.1, 0.2], [0.3, np.nan]],
        bands=np.full((2, 2), 0.15),
        methods=["a", "b"],
        regimes=["r", "s"],
    ).plot(ax)
    first, second = (line.get_ydata() for line in display.lines_)
    assert (first < second).all()
    (segment, _) = display.bands_[0].get_segments()
    assert segment[0, 0] > 0  # 0.1 - 0.15 has no place on a logarithmic axis
    assert segment[1] == pytest.approx([0.25, first[0]])


@pytest.mark.parametrize(
    "display",
    [
        ComponentsDisplay(components=np.eye(3), bands=np.ones(3)),
        ReconstructionDisplay(signals=np.eye(3), reconstructions=np.eye(3), bands=np.ones(3)),
        SpectrumDisplay(frequencies=[[1]], amplitudes=[[1]], grid=[1], spectrum=[1], bands=np.ones(3)),
        ComparisonDisplay(errors=[[1]], methods=["a"], regimes=["b"], bands=np.ones(3)),
    ],
    ids=lambda display: type(display).__name__,
)
def test_bands_of_another_shape_are_refused(ax, display):
    with pytest.raises(ValueError, match=rf"'bands' parameter of {type(display).__name__} must be of shape"):
        display.plot(ax)


# ------------------------------------------------------------------------------------------ reconstructions


@pytest.fixture
def rebuilt(waves):
    """Five signals whose reconstructions err by 0.3, 0, 0.1, 0.2 and 0.4."""
    signals = np.vstack([waves[1], waves[1][:2] / 2])
    return signals, signals + np.array([0.3, 0.0, -0.1, 0.2, 0.4])[:, None]


def test_signals_are_shown_from_the_best_explained_to_the_worst(ax, waves, rebuilt):
    display = ReconstructionDisplay(signals=rebuilt[0], reconstructions=rebuilt[1], positions=waves[0]).plot(
        ax
    )
    np.testing.assert_allclose(display.errors_, [0.3, 0, 0.1, 0.2, 0.4], atol=1e-15)
    assert display.indices_.tolist() == [1, 2, 0, 4]
    for i, line, signal in zip(display.indices_, display.lines_, display.signal_lines_, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), waves[0])
        np.testing.assert_array_equal(line.get_ydata(), rebuilt[1][i])
        np.testing.assert_array_equal(signal.get_ydata(), rebuilt[0][i])
    assert [panel.get_title() for panel in display.axes_][2] == "signal 0\nrms residual 0.3"
    assert len({panel.get_ylim() for panel in display.axes_}) == 1


def test_residuals_stand_below_their_signals(ax, rebuilt):
    display = ReconstructionDisplay(signals=rebuilt[0], reconstructions=rebuilt[1])
    display.plot(ax, indices=[4, 0], residuals=True, xlabel="t", ylabel="mV")
    assert len(display.axes_) == 4
    assert [line.axes for line in display.residual_lines_] == display.axes_[2:]
    np.testing.assert_allclose(display.residual_lines_[0].get_ydata(), -0.4)
    assert [panel.get_xlabel() for panel in display.axes_] == ["", "", "t", "t"]
    assert [panel.get_ylabel() for panel in display.axes_] == ["mV", "", "mV", ""]
    legends = [panel.get_legend() for panel in display.axes_]
    assert [[text.get_text() for text in legend.get_texts()] for legend in legends if legend] == [
        ["signal", "reconstruction"],
        ["residual"],
    ]


def test_entries_that_are_missing_are_shaded_and_do_not_count(ax, rebuilt):
    signals = rebuilt[0].copy()
    signals[0, [3, 4, 29]] = np.nan
    display = ReconstructionDisplay(signals=signals, reconstructions=rebuilt[1]).plot(ax, indices=[0])
    assert display.errors_[0] == pytest.approx(0.3)
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in display.axes_[0].patches]
    assert spans == [(2.5, 4.5), (28.5, 29.0)]


def test_gaps_and_labels_of_dates(ax, rebuilt):
    signals = rebuilt[0].copy()
    signals[0, [3, 4]] = np.nan
    days = np.datetime64("2024-01-01") + np.arange(30)
    display = ReconstructionDisplay(signals=signals, reconstructions=rebuilt[1], positions=days)
    panel = display.plot(ax, indices=[0]).axes_[0]
    (gap,) = panel.patches
    first = panel.convert_xunits(days[0])
    assert (gap.get_x() - first, gap.get_x() + gap.get_width() - first) == (2.5, 4.5)
    display.figure_.draw_without_rendering()
    assert max(len(label.get_text()) for label in panel.get_xticklabels()) < 6


def test_a_signal_of_which_nothing_was_observed_is_not_chosen(ax, rebuilt):
    signals = rebuilt[0].copy()
    signals[4] = np.nan
    display = ReconstructionDisplay(signals=signals, reconstructions=rebuilt[1]).plot(ax)
    assert display.indices_.tolist() == [1, 2, 3, 0]


def test_images_beside_their_reconstructions_share_a_colour_scale(ax):
    signals = np.abs(np.random.default_rng(0).normal(size=(3, 12)))
    display = ReconstructionDisplay(signals=signals, reconstructions=2 * signals, image_shape=(3, 4))
    display.plot(ax, residuals=True)
    for i, shown, drawn, left in zip(
        display.indices_, display.signal_images_, display.images_, display.residual_images_, strict=True
    ):
        np.testing.assert_array_equal(shown.get_array(), signals[i].reshape(3, 4))
        np.testing.assert_array_equal(drawn.get_array(), 2 * signals[i].reshape(3, 4))
        np.testing.assert_array_equal(left.get_array(), -signals[i].reshape(3, 4))
        assert shown.get_clim() == drawn.get_clim() == (0, signals[i].max())
        assert left.get_clim() == (-signals.max(), signals.max())


def test_reconstructions_of_an_estimator(ax, codes):
    pca = PCA(2).fit(codes)
    display = ReconstructionDisplay.from_estimator(pca, codes, ax=ax, legend=False)
    expected = pca.inverse_transform(pca.transform(codes))
    worst = np.argmax(((codes - expected) ** 2).sum(axis=1))
    assert display.indices_[-1] == worst
    np.testing.assert_array_equal(display.lines_[-1].get_ydata(), expected[worst])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"reconstructions": np.eye(2)}, r"'reconstructions' parameter .* must be of shape \(3, 3\)"),
        ({"positions": [0, 1]}, r"'positions' parameter .* must be of shape \(3,\)"),
        ({"image_shape": (2, 2)}, "'image_shape' parameter .* whose product is the 3 features"),
        ({"names": ["a"]}, "'names' parameter of ReconstructionDisplay must be a sequence of 3 names"),
    ],
)
def test_reconstructions_whose_parts_do_not_fit(ax, parameters, words):
    with pytest.raises(ValueError, match=words):
        ReconstructionDisplay(**({"signals": np.eye(3), "reconstructions": np.eye(3)} | parameters)).plot(ax)


# ---------------------------------------------------------------------------------------------- comparisons


def test_errors_are_points_and_failures_gaps(ax):
    errors = [[0.01, 0.02], [0.5, np.nan]]
    display = ComparisonDisplay(errors=errors, methods=["ours", "PCA"], regimes=["box", "cone"]).plot(ax)
    for line, row in zip(display.lines_, errors, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), row)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["box", "cone"]
    assert ax.yaxis_inverted()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ours", "PCA"]
    assert display.bands_ == []


def test_colours_are_told_apart_without_colour_vision():
    """Under simulated deuteranopia and protanopia the first four colours differ."""
    from matplotlib.colors import to_rgb

    from sparse_fourier.plotting.style import COLORS

    simulated = {  # Viénot, Brettel and Mollon (1999), on linear RGB
        "deuteranopia": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
        "protanopia": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    }
    for matrix in simulated.values():
        linear = np.array([to_rgb(color) for color in COLORS[:4]]) ** 2.2
        seen = np.clip(linear @ np.transpose(matrix), 0, 1) ** (1 / 2.2)
        distances = np.linalg.norm(seen[:, None] - seen, axis=2)
        assert distances[np.triu_indices(4, 1)].min() > 0.3
