"""What a real Triton answers otherwise than we do stands in docs/protocols.md, with a reason each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import triton_differences as bench
from _triton import is_here
from _triton_requests import CALLS, REQUESTS


def test_the_page_gives_each_difference_its_reason():
    told = bench.PAGE.read_text("utf-8").partition(bench.OPENS)[2].partition(bench.CLOSES)[0]
    listed = {
        row.split(" | ")[0].removeprefix("| "): row.split(" | ")[-1].removesuffix(" |") for row in told.splitlines()[4:]
    }
    assert listed == bench.WHY
    assert told.startswith(f"{len(REQUESTS) + len(CALLS)} requests, {len(bench.WHY)} answered otherwise.")


@pytest.mark.skipif(not is_here(), reason="Triton is not there: scripts/servers triton fetches it")
def test_a_real_triton_differs_where_the_page_says_and_nowhere_else():
    found = bench.differing(bench.asked())
    assert found.keys() == bench.WHY.keys()
