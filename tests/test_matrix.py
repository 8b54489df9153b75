"""The matrix of faults and bad inputs: every row has a test, by name; some of them are here."""

import ast
import functools
import pickle
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import scipy.linalg

from sparse_fourier import AutoencoderDecomposer, __version__, lapack
from sparse_fourier.datasets import make_sinusoid_mixtures
from sparse_fourier.saving import FORMAT

X, _, SINES = make_sinusoid_mixtures(60, 8, noise=0.02, random_state=0)
HERE = Path(__file__).parent

# Row of the matrix -> module and test, in brackets the case of the test.
ROWS = {
    "1 one dimension": "faults: refused_data_lose_nothing[one dimension]",
    "2 three dimensions": "faults: refused_data_lose_nothing[three dimensions]",
    "3 scalar": "faults: refused_data_lose_nothing[scalar]",
    "3 None": "faults: refused_data_lose_nothing[none]",
    "4 ragged list": "faults: refused_data_lose_nothing[ragged]",
    "5 no samples": "faults: refused_data_lose_nothing[no samples]",
    "6 no features": "faults: refused_data_lose_nothing[no features]",
    "7 one sample": "faults: refused_data_lose_nothing[one sample]",
    "7 one sample in a stream": "streaming: a_single_row_starts",
    "8 one feature": "faults: one_feature",
    "9 NaN": "missing: the_seed_is_learned_from_what_is_seen",
    "9 unobserved column": "faults: refused_data_lose_nothing[unobserved]",
    "9 unobserved row": "matrix: row_9_nothing_of_a_row_was_observed",
    "9 NaN among codes": "faults: codes_of_another_width",
    "10 infinity": "faults: refused_data_lose_nothing[infinity]",
    "11 complex": "faults: refused_data_lose_nothing[complex]",
    "12 objects": "faults: the_way_numbers_are_stored_does_not_matter[object]",
    "13 dict inside": "faults: refused_data_lose_nothing[dict inside]",
    "14 words": "faults: refused_data_lose_nothing[words]",
    "15 numeric strings": "faults: the_way_numbers_are_stored_does_not_matter[strings]",
    "16 dates": "faults: refused_data_lose_nothing[dates]",
    "16 durations": "faults: refused_data_lose_nothing[durations]",
    "17 mask without entries": "faults: the_way_numbers_are_stored_does_not_matter[masked, no mask]",
    "18 mask": "faults: refused_data_lose_nothing[masked]",
    "19 sparse": "signals: a_sparse_matrix_is_fitted_as_its_dense_form_is",
    "20 np.matrix": "faults: refused_data_lose_nothing[matrix]",
    "21 structured": "faults: refused_data_lose_nothing[structured]",
    "22 integers, bool": "faults: small_types_are_computed_in_double_precision",
    "23 float16": "faults: small_types_are_computed_in_double_precision[float16]",
    "23 longdouble": "faults: the_way_numbers_are_stored_does_not_matter[long double]",
    "24 float32, float64": "decomposer: float32_stays_float32_and_agrees_with_float64",
    "25 layouts": "faults: the_way_numbers_are_stored_does_not_matter[negative strides]",
    "26 read-only": "faults: read_only_memory_map",
    "26 unaligned": "faults: the_way_numbers_are_stored_does_not_matter[unaligned]",
    "27 data changed afterwards": "faults: data_may_be_reused_after_the_fit",
    "28 tables": "decomposer: data_frames_go_in_and_come_out",
    "28 Int64": "faults: nullable_integers_of_a_table",
    "29 pd.NA": "missing: nullable_tables_and_single_precision",
    "30 mixed column names": "faults: refused_data_lose_nothing[mixed column names]",
    "31 constant column": "faults: constant_columns_belong_to_the_intercept",
    "31 zero first column": "faults: zero_first_column_with_few_samples",
    "31 digits": "faults: digits_with_their_empty_columns",
    "32 no variance": "faults: data_without_variance",
    "33 rank below n_components": "faults: rank_below_n_components",
    "34 n_components above n_features": "faults: more_components_than_features_lose_nothing",
    "34 beyond memory": "matrix: row_34_arrays_beyond_memory_name_n_components",
    "35 n_components above n_samples": "faults: more_components_than_samples",
    "36 duplicates": "faults: duplicate_rows_are_weights",
    "36 two kinds of rows": "matrix: row_36_two_kinds_of_rows_have_no_box_without_an_intercept",
    "37 two samples": "faults: two_samples",
    "38 column scales": "faults: columns_of_very_different_scales",
    "39 offset": "faults: large_offset_in_double_precision",
    "40 scale": "faults: extreme_scales_are_powers_of_two_away",
    "41 denormal": "faults: denormal_data",
    "42 range overflows": "faults: range_beyond_the_type",
    "43 padding": "faults: padding_of_rows_is_invisible",
    "44 n_components": "faults: wrong_parameters_are_named_at_fit_and_lose_nothing",
    "45 learning_rate": "faults: wrong_parameters_are_named_at_fit_and_lose_nothing",
    "46 max_iter, batch_size": "faults: wrong_parameters_are_named_at_fit_and_lose_nothing",
    "46 batch_size above n_samples": "matrix: row_46_a_batch_holds_at_most_all_rows",
    "47 unknown names": "faults: allowed_names_are_listed",
    "48 wrong objects": "matrix: row_48_objects_of_the_wrong_kind_are_named",
    "48 activation that fails": "activations: an_activation_that_fails_is_named_with_the_check",
    "48 penalty that fails": "penalties: check_names_what_fails",
    "49 random_state": "faults: random_state_none_is_the_global_generator_and_an_int_leaves_it_alone",
    "50 unknown keyword": "faults: unknown_keyword",
    "51 set_params after fit": "faults: wrong_parameters_are_named_at_fit_and_lose_nothing",
    "52 n_components between calls": "streaming: what_is_refused_changes_nothing",
    "53 init": "faults: wrong_init_names_the_shape_it_should_have",
    "54 not fitted": "faults: not_fitted",
    "55 other width": "faults: data_unlike_those_of_the_fit",
    "56 other columns": "faults: data_unlike_those_of_the_fit",
    "57 array after table": "faults: array_after_table_warns_as_scikit_learn_does",
    "57 no warning else": "faults: tables_throughout_give_no_warning",
    "58 no rows": "faults: data_unlike_those_of_the_fit",
    "59 one row": "faults: rows_do_not_depend_on_their_neighbours",
    "60 width of codes": "faults: codes_of_another_width",
    "61 codes in a table": "matrix: row_61_codes_in_a_table_are_decoded",
    "62 names of features": "faults: names_of_other_features",
    "63 fit after partial_fit": "streaming: fit_after_partial_fit_starts_from_nothing",
    "64 partial_fit after fit": "streaming: it_goes_on_from_a_fit",
    "65 partial_fit, other width": "streaming: what_is_refused_changes_nothing",
    "66 infinite chunk": "streaming: what_is_refused_changes_nothing",
    "66 column not seen yet": "streaming: missing_entries_and_features_not_seen_yet",
    "67 chunk sizes": "streaming: any_sequence_of_batch_sizes_compiles_nothing",
    "68 failing refit": "faults: other_columns_with_a_hole_lose_nothing",
    "69 y": "faults: y_is_ignored",
    "70 same seed": "faults: same_seed_same_bits",
    "71 nothing changes": "faults: nothing_but_fit_changes_the_estimator",
    "72 divergence": "autoencoding: divergence_is_an_error_that_names_the_learning_rate_and_loses_nothing",
    "73 worse than the mean": "autoencoding: a_network_worse_than_the_mean_is_a_warning",
    "74 max_iter": "decomposer: too_few_iterations_warn_with_the_parameter_to_change",
    "75 idle codes": "matrix: row_75_codes_that_never_change_are_named",
    "76 LAPACK": "matrix: row_76_decompositions_are_tried_twice",
    "77 device memory": "faults: failures_inside_jax_are_explained_and_lose_nothing",
    "78 host memory": "faults: memory_error_loses_nothing",
    "79 device lost": "faults: failures_inside_jax_are_explained_and_lose_nothing",
    "80 compilation": "runtime: faults_of_jax_are_explained_at_compilation_and_later",
    "81 interrupt": "processes: interrupt_during_training",
    "82 interrupt of compilation": "processes: interrupt_during_compilation",
    "83 two interrupts": "processes: two_interrupts_are_answered_one_after_the_other",
    "84 exception of a callback": "faults: any_exception_from_inside_training_passes_and_loses_nothing",
    "85 SIGTERM": "processes: a_terminated_fit_ends_and_leaves_no_file",
    "86 alarm": "processes: exception_from_an_alarm_inside_a_fit_loses_nothing",
    "87 fork after a compiled fit": "processes: fork_after_a_compiled_fit",
    "88 serving after a fork": "processes: fork_after_a_compiled_fit",
    "89 fork before": "processes: fork_before_training_leaves_the_child_able_to_fit",
    "90 parallel search": "processes: parallel_search_equals_the_serial_one",
    "91 multiprocessing": "processes: pool_of_forked_workers_fits_small_problems",
    "92 worker killed": "processes: a_worker_that_is_killed_leaves_the_parent_as_it_was",
    "93 threads": "faults: fits_in_threads_equal_fits_in_turn",
    "94 refit in a thread": "faults: transform_while_another_thread_refits_answers_by_one_model",
    "95 settings of JAX": "processes: hostile_settings_change_no_bit",
    "96 x64": "faults: precision_does_not_depend_on_the_users_context",
    "97 absent platform": "processes: platform_that_is_absent",
    "98 devices that are mixed": "sharding: row_98_arrays_on_other_devices",
    "99 shared device": "runtime: memory_of_a_shared_device_is_explained",
    "100 no JAX, old JAX": "runtime: check_without_jax_says_what_to_install",
    "101 corrupt cache": "processes: a_corrupt_compilation_cache_only_warns",
    "102 warnings as errors": "processes: small_fits_do_not_import_jax",
    "103 no __main__ guard": "matrix: row_103_what_parallel_code_needs_is_documented",
    "104 many shapes": "runtime: too_many_shapes_clear_the_programs",
    "105 pickles": "faults: pickles_are_exact_and_plain",
    "106 without JAX": "processes: saved_model_serves_without_jax",
    "107 from GPU to CPU": "faults: pickles_are_exact_and_plain",
    "108 double precision": "matrix: row_108_double_precision_survives_where_jax_has_single",
    "109 memory map": "matrix: row_109_a_stream_goes_on_from_a_memory_map",
    "110 stream after a pickle": "streaming: it_goes_on_exactly_after_pickling",
    "111 formats": "matrix: row_111_other_versions_warn_and_newer_formats_are_refused",
    "112 truncated": "faults: truncated_pickle",
    "113 copies": "faults: copies_are_independent",
    "114 unfitted": "faults: unfitted_estimator_pickles",
    "114 half fitted": "matrix: row_114_the_beginning_of_a_stream_pickles",
    "115 versions": "matrix: row_111_other_versions_warn_and_newer_formats_are_refused",
}


@functools.cache
def held_by(module):
    """Return the names of the tests of a module, and its text."""
    text = (HERE / f"test_{module}.py").read_text()
    return {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}, text


@pytest.mark.parametrize("row", ROWS)
def test_the_row_has_a_test(row):
    module, _, rest = ROWS[row].partition(": ")
    name, _, case = rest.partition("[")
    names, text = held_by(module)
    assert f"test_{name}" in names
    assert f'"{case.rstrip("]")}"' in text or not case


def test_no_row_is_left_out():
    rows = {int(row.split()[0]) for row in ROWS}
    assert rows == set(range(1, 116))


def fitted(data=X, **parameters):
    return AutoencoderDecomposer(**{"n_components": 2, "random_state": 0, **parameters}).fit(data)


def test_row_9_nothing_of_a_row_was_observed():
    model = fitted()
    holed = X.copy()
    holed[3] = np.nan
    with pytest.warns(UserWarning, match=r"X has no observed entry in 1 of 60 rows \(3\)"):
        codes = model.transform(holed)
    np.testing.assert_array_equal(codes[3], model.prior_.code_mean(2))
    np.testing.assert_array_equal(np.delete(codes, 3, axis=0), np.delete(model.transform(X), 3, axis=0))
    np.testing.assert_allclose(
        fitted(holed).components_, fitted(np.delete(X, 3, axis=0)).components_, rtol=1e-9
    )


@pytest.mark.parametrize("prior", ["uniform", "auto"])
def test_row_36_two_kinds_of_rows_have_no_box_without_an_intercept(prior):
    model = fitted()
    before = model.transform(X)
    with pytest.raises(
        ValueError, match=r"rows of X lie on a line .* Use fit_intercept=True or another prior"
    ):
        model.set_params(prior=prior, fit_intercept=False).fit(np.repeat(X[:2], 20, axis=0))
    np.testing.assert_array_equal(model.transform(X), before)
    for n in (20, 30):  # more than 40 rows on a face are taken to determine it
        apex = fitted(np.repeat(X[:2], n, axis=0), prior="exponential", fit_intercept=False)
        np.testing.assert_allclose(apex.inverse_transform(apex.transform(X[:2])), X[:2], atol=1e-9)


@pytest.mark.parametrize("prior", ["laplace", "auto"])
def test_row_34_arrays_beyond_memory_name_n_components(prior):
    model = fitted()
    before = model.transform(X)
    with pytest.raises(ValueError, match=r"n_components=1000000000 takes arrays of .* bytes .* Lower n_comp"):
        model.set_params(n_components=10**9, prior=prior).fit(X)
    np.testing.assert_array_equal(model.transform(X), before)


def test_row_46_a_batch_holds_at_most_all_rows():
    options = {"prior": None, "activation": "sigmoid", "solver": "adam", "max_iter": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole, more = (fitted(batch_size=size, **options) for size in (60, 10**9))
    np.testing.assert_array_equal(whole.components_, more.components_)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"prior": {}}, "'prior' parameter .* must be a str among .* an instance of .*Prior"),
        ({"basis": {}}, "'basis' parameter .* must be a str among .* or an instance of"),
        ({"solver": object()}, "'solver' parameter .* or an object implementing 'init' and 'update'"),
        ({"activation": {}}, "'activation' parameter .* must be a str among"),
        ({"penalty": [object()]}, "'penalty' parameter .* must be None, a Penalty, a callable or a list"),
        (
            {"activation": lambda codes: codes[:1]},
            "activation <lambda> cannot be used: it must keep the shape",
        ),
        ({"activation": lambda codes: codes * np.nan}, "its values must be finite"),
        (
            {"penalty": lambda model, X, codes: codes},
            "penalty <lambda> cannot be used: it must return a scalar",
        ),
    ],
)
def test_row_48_objects_of_the_wrong_kind_are_named(parameters, match):
    with pytest.raises(ValueError, match=match):
        fitted(**parameters)


def test_row_61_codes_in_a_table_are_decoded():
    model = fitted().set_output(transform="pandas")
    rebuilt = model.inverse_transform(model.transform(X))
    assert type(rebuilt) is np.ndarray
    np.testing.assert_array_equal(
        rebuilt, model.transform(X).to_numpy() @ model.components_ + model.intercept_
    )


def test_row_75_codes_that_never_change_are_named():
    options = {"prior": None, "activation": "relu", "solver": "sgd", "learning_rate": 1e6, "max_iter": 5}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = fitted(**options)
    said = [str(each.message) for each in caught]
    idle = np.flatnonzero(np.ptp(model.transform(X), axis=0) == 0).tolist()
    assert idle
    assert any(f"The codes of components {idle} are the same for all signals" in words for words in said)


@pytest.mark.parametrize("n", [12, 60])
def test_row_76_decompositions_are_tried_twice(n, monkeypatch):
    """Divide and conquer fails on rare matrices; slower iterations give the same."""
    model = fitted(X[:n])

    def fail(*arguments, **options):
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(lapack, "_divided", fail)
    monkeypatch.setattr(np.linalg, "eigh", fail)
    found = fitted(X[:n], prior="uniform", n_init=1)
    np.testing.assert_allclose(np.abs(found.components_), np.abs(model.components_), rtol=1e-5, atol=1e-7)
    monkeypatch.setattr(scipy.linalg, "eigh", fail)
    monkeypatch.setattr(scipy.linalg, "svd", fail)
    before = model.transform(X)
    with pytest.raises(
        ValueError, match=r"principal axes of X could not be computed.*Scale its feat"
    ) as caught:
        model.fit(X[:n])
    assert isinstance(caught.value.__cause__, np.linalg.LinAlgError)
    np.testing.assert_array_equal(model.transform(X), before)


def test_row_103_what_parallel_code_needs_is_documented():
    text = (HERE.parent / "docs" / "guide" / "running.md").read_text()
    for word in ("__main__", "spawn", "loky", "threading", "XLA_PYTHON_CLIENT_PREALLOCATE", "affinity"):
        assert word in text


def test_row_108_double_precision_survives_where_jax_has_single():
    import jax

    model = fitted()
    with jax.enable_x64(False):
        loaded = pickle.loads(pickle.dumps(model))
        assert loaded.components_.dtype == np.float64
        assert loaded.transform(X).tobytes() == model.transform(X).tobytes()


def test_row_109_a_stream_goes_on_from_a_memory_map(tmp_path):
    begun, going_on = (AutoencoderDecomposer(2, random_state=0) for _ in range(2))
    joblib.dump(begun.partial_fit(X), tmp_path / "model")
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    written = (tmp_path / "model").read_bytes()
    expected = going_on.partial_fit(X).partial_fit(X[::-1] + 1)
    np.testing.assert_array_equal(mapped.partial_fit(X[::-1] + 1).components_, expected.components_)
    assert (tmp_path / "model").read_bytes() == written


@pytest.mark.parametrize(
    ("stamp", "writer"),
    [({"_sparse_fourier_version": "0.0.9"}, "0.0.9"), (None, "before 0.1")],
    ids=["other version", "no stamp"],
)
def test_row_111_other_versions_warn_and_newer_formats_are_refused(stamp, writer):
    model = fitted()
    state = model.__getstate__()
    assert state["_state_format"] == FORMAT
    if stamp is None:
        del state["_state_format"], state["_sparse_fourier_version"]
    other = AutoencoderDecomposer()
    with pytest.warns(UserWarning, match=f"saved by sparse_fourier {writer}, this is {__version__}: what"):
        other.__setstate__({**state, **(stamp or {})})
    np.testing.assert_array_equal(other.transform(X), model.transform(X))
    newer = {**state, "_state_format": FORMAT + 1, "_sparse_fourier_version": "9.9"}
    with pytest.raises(ValueError, match=r"saved by sparse_fourier 9\.9, this is .*Upgrade sparse_fourier"):
        AutoencoderDecomposer().__setstate__(newer)


def test_row_111_parameters_that_came_later_have_their_defaults():
    state = fitted(max_iter=77).__getstate__()
    del state["contamination"]
    loaded = AutoencoderDecomposer.__new__(AutoencoderDecomposer)
    loaded.__setstate__(state)
    assert loaded.get_params() == {**AutoencoderDecomposer(2, max_iter=77, random_state=0).get_params()}


def test_row_114_the_beginning_of_a_stream_pickles():
    begun = AutoencoderDecomposer(2, random_state=0).partial_fit(X[:1])
    loaded = pickle.loads(pickle.dumps(begun))
    np.testing.assert_array_equal(loaded.partial_fit(X).components_, begun.partial_fit(X).components_)
