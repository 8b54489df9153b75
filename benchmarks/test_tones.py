"""Checks of the tone bench: its bound, and its rivals where they are at home."""

import numpy as np
import pytest

from benchmarks import tones
from benchmarks.spectral_rivals import SPECTRAL


def numerical_information(condition, codes, variance):
    """Information about frequencies, phases, codes and intercept, by differences."""
    (n, k), d = codes.shape, len(condition.positions)

    def mean(parameters):
        frequencies, phases, rest = np.split(parameters, [k, 2 * k])
        own, intercept = np.split(rest, [n * k])
        return (own.reshape(n, k) @ condition.waveforms(frequencies, phases) + intercept).ravel()

    at = np.concatenate([condition.frequencies, condition.phases, codes.ravel(), np.zeros(d)])
    steps = 1e-6 * np.eye(len(at))
    slopes = np.array([(mean(at + step) - mean(at - step)) / 2e-6 for step in steps])
    return slopes @ slopes.T / variance


@pytest.mark.parametrize("condition", tones.CONDITIONS[3::3], ids=lambda condition: condition.name)
def test_bound_is_the_inverse_of_the_numerical_information(condition):
    _, codes, variance = condition.draw(0)
    codes, k = codes[:12], len(condition.cycles)
    information = numerical_information(condition, codes, variance)
    own, rest = information[: 2 * k, : 2 * k], information[2 * k :, 2 * k :]
    cross = information[: 2 * k, 2 * k :]
    schur = own - cross @ np.linalg.pinv(rest, rcond=1e-9) @ cross.T
    bound = np.diagonal(np.linalg.inv(schur))[:k]
    np.testing.assert_allclose(condition.bound(codes, variance), bound, rtol=1e-4)


@pytest.mark.parametrize("name", SPECTRAL)
def test_rivals_find_tones_far_apart(name):
    condition = tones.Tones("far apart", tones.REGULAR, (6.0, 21.0), (0.3, 1.0), 30)
    X, _, _ = condition.draw(0)
    np.testing.assert_allclose(SPECTRAL[name](X, 2), condition.frequencies, atol=2e-3)


def test_conditions_are_ten_and_of_both_kinds():
    assert len(tones.CONDITIONS) == 10
    assert {condition.regular for condition in tones.CONDITIONS} == {True, False}
    assert {len(condition.cycles) for condition in tones.CONDITIONS} == {2, 3, 4}


def test_a_condition_is_judged():
    condition = tones.CONDITIONS[0]
    lines = [
        tones.condition_line(condition, {"ours": np.full((9, 2), ours), "ESPRIT": np.full((9, 2), 4.0)})
        for ours in (1.0, 1.44, 5.0)
    ]
    assert [line.met for line in lines] == [True, False, False]
