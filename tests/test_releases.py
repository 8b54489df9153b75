"""What is promised of versions: the oldest that are tested, and files of older estimators that load."""

import pickle
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from sparse_fourier.saving import FORMAT

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SAVED = sorted((ROOT / "tests" / "saved").glob("*.pickle"))


def numbers(version):
    """Return a version as numbers, zeros at its end left out."""
    return tuple(int(part) for part in re.sub(r"(\.0)+$", "", version).split("."))


def test_the_oldest_versions_that_are_tested_are_those_that_are_promised():
    lines = (ROOT / ".ci" / "oldest.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    promised = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    for requirement in promised:
        name, least = requirement.split(">=")
        # pandas 2.2.2 is its first release for NumPy 2.
        assert numbers(pinned[name])[:2] == numbers(least)[:2], name


def test_a_state_of_this_form_is_kept():
    assert [int(path.stem.partition("-")[0]) for path in SAVED][-1] == FORMAT


@pytest.mark.filterwarnings("ignore:This estimator was saved by sparse_fourier")
@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_saved_estimators_load_and_serve(path):
    """Files hold estimators, signals, and what these were to the version that wrote them."""
    for model, signals, codes, scores in pickle.loads(path.read_bytes()):
        rounding = 8 * np.finfo(codes.dtype).eps * np.abs(codes).max()
        np.testing.assert_allclose(model.transform(signals), codes, rtol=1e-6, atol=max(rounding, 1e-8))
        np.testing.assert_allclose(model.score_samples(signals), scores, rtol=1e-6, atol=1e-6)
        rebuilt = model.inverse_transform(codes)
        np.testing.assert_allclose(rebuilt, codes @ model.components_ + model.intercept_, rtol=1e-6)
        assert model.get_params()
        assert repr(model)
        model.set_params(callback=None)
