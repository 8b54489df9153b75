"""scikit-learn's own checks: all that `check_estimator` runs, and those that it leaves to its CI."""

import pytest
from sklearn.utils import estimator_checks as checks

from sparse_fourier import AutoencoderDecomposer
from sparse_fourier.bases import Fourier
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
    AutoencoderDecomposer(n_components=1, prior="laplace", basis=Fourier(damped=True), random_state=0),
]


# Sinusoids fit any span in the two or three dimensions of some of these checks, and say so.
@pytest.mark.filterwarnings("ignore::sparse_fourier.exceptions.IdentifiabilityWarning")
@checks.parametrize_with_checks(VARIANTS)
def test_scikit_learn_check(estimator, check):
    check(estimator)


# Some of these mix data frames and arrays on purpose, at which scikit-learn warns.
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
@pytest.mark.parametrize("check", BY_HAND, ids=lambda check: check.__name__)
def test_scikit_learn_check_by_hand(check):
    check("AutoencoderDecomposer", AutoencoderDecomposer())
