"""Memory goes back to the system after many connections have gone, and is not walked over for a few."""

from __future__ import annotations

import asyncio
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
