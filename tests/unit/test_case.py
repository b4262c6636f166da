"""The candidate before its gates: what the guard stops is left to the fallback, and everything is made once."""

from __future__ import annotations

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import cases
import models
from modelmark.contract.table import agreed_table
from modelmark.domain.contract import Fallback, FallbackKind
from modelmark.domain.errors import OutputInvalid
from modelmark.gates import case as module
from modelmark.gates.case import Case, score
from modelmark.gates.common.evaluation_set import evaluation_set_of
from modelmark.gates.gate import Measurement
from modelmark.gates.once import once
from modelmark.gates.runner import run_gates


class Guarded:
    """A model whose answer for one row is below what the contract allows."""

    def __init__(self, place):
        self.income = place

    def predict(self, rows):
        bad = [row["income per year"] == self.income for row in rows]
        if any(bad):
            raise OutputInvalid("the model's answer is not finite or out of its range", row=bad.index(True))
        return [[0.4, 0.6] for _ in rows]


def opened(base, contract, predictor=None):
    models.write_tables(base, models.frame(120, 1), models.frame(80, 2))
    models.save(None, base)
    return Case(
        version=cases.version(base, contract), contract=contract, base=base, folder=base,
        predictor=predictor, staging=None, clock=lambda: cases.NOW,
    )  # fmt: skip


def test_one_row_that_the_guard_stops_is_left_to_the_fallback(tmp_path):
    chain = (Fallback(kind=FallbackKind.CONSTANT, value="no"),)
    case = opened(tmp_path, models.contract(fallback=chain))
    case = dataclasses.replace(case, predictor=Guarded(case.holdout["income per year"][17]))
    assert np.flatnonzero(np.isnan(case.scores).any(axis=1)).tolist() == [17]
    evaluation = evaluation_set_of(case)
    assert len(evaluation.rows) == 79
    assert any("left to the fallback" in note for note in evaluation.notes())


def test_without_a_fallback_the_endpoint_fails_on_it_and_so_do_the_gates(tmp_path):
    case = opened(tmp_path, models.contract())
    with pytest.raises(OutputInvalid):
        score(Guarded(case.holdout["income per year"][17]), case.holdout, case.contract, set())


def test_tables_are_read_once_for_all_gates_and_the_room_they_take(tmp_path, monkeypatch):
    read = []

    def counted(path, *how):
        read.append(path.name)
        time.sleep(0.02)  # long enough for two gates to want it at once
        return agreed_table(path, *how)

    class Looks:
        alone, quick, settled = False, True, True

        def __init__(self, name):
            self.name = name

        def measure(self, case, _progress):
            assert len(case.train) == 120
            assert len(case.holdout) == 80
            return Measurement(checks=())

    monkeypatch.setattr(module, "agreed_table", counted)
    for workers in (None, 3):
        read.clear()
        run_gates(opened(tmp_path, models.contract()), gates=[Looks(name) for name in "abc"], workers=workers)
        assert sorted(read) == ["holdout.csv", "train.csv"]


def test_what_fails_is_tried_again_and_what_needs_another_does_not_wait_for_itself():
    class Made:
        tries = 0

        @once
        def first(self):
            self.tries += 1
            if self.tries == 1:
                raise ValueError("not yet")
            return [self.tries]

        @once
        def second(self):
            return self.first

    one = Made()
    with pytest.raises(ValueError, match="not yet"):
        _ = one.second
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: one.second, range(8)))
    assert all(each is found[0] for each in found)
    assert one.tries == 2
