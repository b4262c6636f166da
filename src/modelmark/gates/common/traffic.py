"""Open-loop traffic: requests leave when they are due, whether or not earlier ones have been answered.

Latency counts from the moment a request was due, so a stalled server cannot hide behind a waiting sender
(coordinated omission).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

_CUT: Final = 2048
_SHORTEST: Final = 0.5  # seconds of sending


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """due, sent, done: seconds since the start. failure: empty for an answer with status 200. status: 0 where none came.

    body: the answer, cut short unless it was asked for whole. retry_after: that header, empty where it was absent.
    """

    due: float
    sent: float
    done: float
    failure: str
    status: int = 0
    body: bytes = b""
    retry_after: str = ""

    @property
    def milliseconds(self) -> float:
        return (self.done - self.due) * 1000


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Due times of a Poisson process, in order; at least one."""
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(1 / rate, max(int(rate * seconds * 2) + 20, 20))
    times = np.cumsum(gaps)
    kept = times[times < seconds]
    return [float(t) for t in (kept if len(kept) else times[:1])]


def send(
    url: str,
    bodies: Sequence[Mapping[str, Any] | bytes],
    due: Sequence[float],
    *,
    timeout: float,
    warm_up: int = 10,
    most_open: int = 0,
    keep: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Heard]:
    """Post the bodies in turn at their due times; what became of each, in that order.

    most_open: with so many unanswered, the next one waits (0: never); then sending ends at twice the time it was due
    to take (and half a second at least), and fewer come back than were due. keep: whole answers, not only their first bytes.
    """
    encoded = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
    sender = _Sender(url, encoded, due, timeout, most_open, None if keep else _CUT)
    with ThreadPoolExecutor(1) as own:  # the caller's thread may have a loop already, as in a notebook
        return own.submit(asyncio.run, sender.run(warm_up, progress)).result()


@dataclass(slots=True)
class _Sender:
    url: str
    bodies: Sequence[bytes]
    due: Sequence[float]
    timeout: float
    most_open: int
    cut: int | None
    start: float = 0.0

    async def run(self, warm_up: int, progress: Callable[[int, int], None]) -> list[Heard]:
        import aiohttp

        connector = aiohttp.TCPConnector(limit=0)
        budget = aiohttp.ClientTimeout(total=self.timeout)
        headers = {"Content-Type": "application/json"}
        async with aiohttp.ClientSession(connector=connector, timeout=budget, headers=headers) as client:
            for place in range(warm_up):
                await self.post(client, self.bodies[place % len(self.bodies)])
            self.start = time.perf_counter()
            return await self.all(client, progress)

    async def all(self, client: Any, progress: Callable[[int, int], None]) -> list[Heard]:
        free = asyncio.Semaphore(self.most_open or len(self.due) + 1)
        tasks = []
        for place, moment in enumerate(self.due):
            wait = moment - (time.perf_counter() - self.start)
            if wait > 0:
                await asyncio.sleep(wait)
            await free.acquire()
            if self.most_open and time.perf_counter() - self.start > max(2 * self.due[-1], _SHORTEST):
                break
            task = asyncio.create_task(self.one(client, place))
            task.add_done_callback(lambda _: free.release())
            tasks.append(task)
            if place % 50 == 0:
                progress(place, len(self.due))
        return list(await asyncio.gather(*tasks))

    async def one(self, client: Any, place: int) -> Heard:
        sent = time.perf_counter() - self.start
        failure, status, body, retry_after = await self.post(client, self.bodies[place % len(self.bodies)])
        done = time.perf_counter() - self.start
        return Heard(
            due=self.due[place],
            sent=sent,
            done=done,
            failure=failure,
            status=status,
            body=body,
            retry_after=retry_after,
        )

    async def post(self, client: Any, body: bytes) -> tuple[str, int, bytes, str]:
        """(failure, status, answer, Retry-After)."""
        import aiohttp

        try:
            async with client.post(self.url, data=body) as response:
                text, status = await response.read(), int(response.status)
                retry_after = response.headers.get("Retry-After", "")
        except TimeoutError:
            return f"no answer within {self.timeout:g} s", 0, b"", ""
        except aiohttp.ClientError as error:
            return f"{type(error).__name__}: {error}", 0, b"", ""
        failure = "" if status == 200 else f"{status} {text[:120].decode(errors='replace')}"
        return failure, status, text[: self.cut], retry_after
