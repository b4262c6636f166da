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
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """due, sent, done: seconds since the start. failure: empty for an answer with status 200."""

    due: float
    sent: float
    done: float
    failure: str

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
    bodies: Sequence[Mapping[str, Any]],
    due: Sequence[float],
    *,
    timeout: float,
    warm_up: int = 10,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Heard]:
    """Post the bodies in turn at their due times; what became of each, in that order."""
    encoded = [json.dumps(body).encode() for body in bodies]
    with ThreadPoolExecutor(1) as own:  # the caller's thread may have a loop already, as in a notebook
        return own.submit(asyncio.run, _send(url, encoded, due, timeout, warm_up, progress)).result()


async def _send(
    url: str,
    bodies: Sequence[bytes],
    due: Sequence[float],
    timeout: float,
    warm_up: int,
    progress: Callable[[int, int], None],
) -> list[Heard]:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0)
    budget = aiohttp.ClientTimeout(total=timeout)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, timeout=budget, headers=headers) as client:

        async def post(body: bytes) -> str:
            try:
                async with client.post(url, data=body) as response:
                    text = await response.read()
                    return "" if response.status == 200 else f"{response.status} {text[:120].decode(errors='replace')}"
            except TimeoutError:
                return f"no answer within {timeout:g} s"
            except aiohttp.ClientError as error:
                return f"{type(error).__name__}: {error}"

        async def one(place: int) -> Heard:
            sent = time.perf_counter() - start
            failure = await post(bodies[place % len(bodies)])
            return Heard(due=due[place], sent=sent, done=time.perf_counter() - start, failure=failure)

        for place in range(warm_up):
            await post(bodies[place % len(bodies)])
        start = time.perf_counter()
        tasks = []
        for place, moment in enumerate(due):
            wait = moment - (time.perf_counter() - start)
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(one(place)))
            if place % 50 == 0:
                progress(place, len(due))
        return list(await asyncio.gather(*tasks))
