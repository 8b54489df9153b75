"""scikit-learn's own checks: all that `check_estimator` runs, and those that it leaves to its CI."""

import pytest
from sklearn.utils import estimator_checks as checks

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.bases import Fourier
from sparse_fourier.penalties import L1, Smoothness
from sparse_fourier.priors import Uniform

BY_HAND = [
    checks.check_dataframe_column_names_consistency,
    checks.check_transformer_get_feature_names_out,
    checks.check_transformer_get_feature_names_out_pandas,
    checks.check_get_feature_names_out_error,
    checks.check_param_validation,
    checks.check_set_output_transform,
    checks.check_set_output_transform_pandas,
    checks.check_global_output_transform_pandas,
    checks.check_set_output_transform_polars,
    checks.check_global_set_output_transform_polars,
    checks.check_inplace_ensure_writeable,
]
VARIANTS = [
    AutoencoderDecomposer(),
    AutoencoderDecomposer(n_components=1, prior=Uniform(), n_init=1, max_iter=100, random_state=0),
    AutoencoderDecomposer(n_components=0.9, prior="uniform", random_state=0),
    AutoencoderDecomposer(basis="fourier", random_state=0),
    AutoencoderDecomposer(2, encoder="variational", random_state=0),
    AutoencoderDecomposer(1, prior="laplace", noise="student_t", random_state=0),
]
SLOWER_VARIANTS = [
    AutoencoderDecomposer(1, prior="laplace", penalty=[Smoothness(0.1), L1(0.01)], random_state=0),
    AutoencoderDecomposer(n_components=1, prior="laplace", basis=Fourier(damped=True), random_state=0),
]
NETWORKS = [
    AutoencoderDecomposer(2, prior=None, activation="sigmoid", max_iter=20, random_state=0),
]
MORE_NETWORKS = [
    AutoencoderDecomposer(2, prior=None, hidden_layer_sizes=(4,), solver="adam", max_iter=5, random_state=0),
    AutoencoderDecomposer(1, prior=None, activation="tanh", solver="sgd", max_iter=10, random_state=0),
    AutoencoderDecomposer(1, prior=None, activation="sigmoid", solver="rmsprop", batch_size=1, max_iter=5),
    AutoencoderDecomposer(1, hidden_layer_sizes=(4,), max_iter=10, random_state=0),
    AutoencoderDecomposer(1, prior="laplace", hidden_layer_sizes=(4, 3), solver="adam", max_iter=10),
    AutoencoderDecomposer(2, prior="gaussian", activation="top_k", solver="adam", max_iter=5, random_state=0),
    AutoencoderDecomposer(1, prior="exponential", activation="softplus", solver="adam", early_stopping=True),
]


# Sinusoids fit any span in the two or three dimensions of some of these checks, and say so.
@pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")
@checks.parametrize_with_checks(VARIANTS)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")
@checks.parametrize_with_checks(SLOWER_VARIANTS)
def test_scikit_learn_check_of_slower_variants(estimator, check):
    check(estimator)


# Batches of one row, and held-out rows, count a row that is there twice in another way than a weight of two.
# Two active codes of two under a Gaussian prior begin at the optimum, where the first steps of Adam follow
# the signs of rounding errors.
IN_BATCHES = {
    f"check_sample_weight_equivalence_on_{kind}_data": "equal to the tolerance of the solver only"
    for kind in ("dense", "sparse")
}


def in_batches(estimator):
    begins_at_optimum = estimator.activation == "top_k"
    return IN_BATCHES if estimator.batch_size == 1 or estimator.early_stopping or begins_at_optimum else {}


networks = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:The codes of components:UserWarning",
)


@networks
@checks.parametrize_with_checks(NETWORKS)
def test_scikit_learn_check_of_networks(estimator, check):
    check(estimator)


@networks
@pytest.mark.slow
@checks.parametrize_with_checks(MORE_NETWORKS, expected_failed_checks=in_batches)
def test_scikit_learn_check_of_more_networks(estimator, check):
    check(estimator)


# Some of these mix data frames and arrays on purpose, at which scikit-learn warns.
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
@pytest.mark.parametrize("check", BY_HAND, ids=lambda check: check.__name__)
def test_scikit_learn_check_by_hand(check):
    check("AutoencoderDecomposer", AutoencoderDecomposer())
