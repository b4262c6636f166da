"""A power cut at any moment, a fault at any call: what was synced is found again, once, and nothing else.

`bench/power_loss.py` does the same 10,000 times.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from builders.power_cuts import FAULTS, cut, faulted, lived
from modelmark.journal.wal.writer import Sync


@pytest.mark.parametrize("sync", [Sync.ALWAYS, Sync.INTERVAL])
def test_what_was_synced_is_found_again_after_a_power_cut(tmp_path: Path, sync: Sync) -> None:
    (power, notary), chance = lived(tmp_path / "w", sync), Random(1)
    assert len(power.promised(len(power.acts))) > 100
    told = {number: cut(power, notary, tmp_path / f"{number}", chance) for number in range(14)}
    assert {number: wrong for number, wrong in told.items() if wrong} == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_answered_is_found_again_after_a_fault_at_any_call(tmp_path: Path, fault: str) -> None:
    for at in [*range(1, 8), *range(8, 10_000, 23)]:
        there, wrong = faulted(tmp_path / f"{at}", at, fault)
        assert wrong == "", f"{fault} at call {at}"
        if not there:
            break
    assert at > 50
