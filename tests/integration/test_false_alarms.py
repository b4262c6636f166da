"""A model with nothing wrong in it is let through: the short form of bench/false_alarms.py, with its very settings."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import false_alarms


@pytest.mark.parametrize("seed", [1, 2, 3, 5, 6, 8])
def test_a_clean_problem_passes_every_gate_at_its_default_limits(seed):
    found = false_alarms.judge(seed, sparse=8)
    assert found.refused == (), found.words
    assert found.untold == (), found.words
    assert {"data_contract", "leakage", "holdout", "slices", "robustness", "edge_cases", "parity"} <= set(found.asked)
