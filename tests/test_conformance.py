"""scikit-learn's own checks: all that `check_estimator` runs, and those that it leaves to its CI."""

import pytest
from sklearn.utils import estimator_checks as checks

from sparse_fourier import AutoencoderDecomposer
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
]
SEED = {"prior": None, "activation": "sigmoid", "random_state": 0}
NETWORKS = [
    AutoencoderDecomposer(1, **SEED, solver="rmsprop", learning_rate=0.05, batch_size=1, max_iter=5),
    AutoencoderDecomposer(2, **SEED, max_iter=20),
    AutoencoderDecomposer(1, prior=None, activation="tanh", solver="sgd", max_iter=10, random_state=0),
    AutoencoderDecomposer(2, prior=None, hidden_layer_sizes=(4,), solver="adam", max_iter=5, random_state=0),
    AutoencoderDecomposer(1, hidden_layer_sizes=(4,), max_iter=10, random_state=0),
    AutoencoderDecomposer(1, prior="laplace", hidden_layer_sizes=(4, 3), solver="adam", random_state=0),
    AutoencoderDecomposer(2, prior="gaussian", activation="top_k", solver="adam", max_iter=5, random_state=0),
    AutoencoderDecomposer(
        1, prior="exponential", activation="softplus", solver="adam", early_stopping=True, random_state=0
    ),
]


@checks.parametrize_with_checks(VARIANTS)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@checks.parametrize_with_checks(NETWORKS)
def test_scikit_learn_check_of_networks(estimator, check):
    check(estimator)


# Some of these mix data frames and arrays on purpose, at which scikit-learn warns.
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
@pytest.mark.parametrize("check", BY_HAND, ids=lambda check: check.__name__)
def test_scikit_learn_check_by_hand(check):
    check("AutoencoderDecomposer", AutoencoderDecomposer())
