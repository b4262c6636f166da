"""Memory goes back to the system after many connections have gone, and is not walked over for a few."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace

import pytest

import loops
from modelmark.serving import memory


@pytest.mark.parametrize(
    ("counts", "trims"),
    [
        pytest.param([0, 1000, 801], 0, id="a few went"),
        pytest.param([0, 1000, 800, 800], 1, id="many went, once"),
        pytest.param([1000, 900, 850, 790], 1, id="many, little by little"),
        pytest.param([500, 0, 500, 0], 2, id="again"),
    ],
)
def test_it_is_given_back_when_many_have_gone(counts: list[int], trims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "EVERY", 0)
    called: list[int] = []
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=called.append))
    left = iter(counts)

    async def work() -> None:
        ended = asyncio.Event()

        def connections() -> int:
            found = next(left, None)
            if found is None:
                ended.set()
            return counts[-1] if found is None else found

        task = asyncio.create_task(memory.give_back(connections))
        await ended.wait()
        task.cancel()

    loops.run(work())
    assert len(called) == trims


def test_a_system_without_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: SimpleNamespace())
    loops.run(memory.give_back(lambda: 0))


FAULTS = """
import resource
from modelmark.serving import memory
if {settle}:
    memory.settle()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(400_000)
before = faults()
for _ in range(100):
    bytearray(400_000)
print(faults() - before)
"""


@pytest.mark.skipif(not hasattr(memory.ctypes.CDLL(None), "mallopt"), reason="the C library keeps what it likes")
def test_what_one_request_needed_is_there_for_the_next() -> None:
    def asked(settle: bool) -> int:
        """Pages got from the system for a hundred times the same."""
        done = subprocess.run(
            [sys.executable, "-c", FAULTS.format(settle=settle)], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert 20 * asked(settle=True) < asked(settle=False)
