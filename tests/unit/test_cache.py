"""Answers that are given again: only to the same version and input, journalled like any other, and only while that pays."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from batcher import Fake, loader, runner
from builders.domain import digest
from modelmark.domain.endpoint.cache_now import cache_off, tell_cache_off
from modelmark.domain.errors import OutputInvalid
from modelmark.domain.workspace import Workspace
from modelmark.serving.caching.cache import LONGEST_REST, MOST_ROWS, OVERHEAD, REST, TRIAL, Cache
from modelmark.serving.flavours import Runs
from modelmark.serving.metrics import Metrics

ONE, OTHER = digest("one"), digest("other")
BYTES = 1 << 20


@pytest.fixture
def load(tmp_path: Path):
    return loader(tmp_path / "versions")


@pytest.fixture
def run(tmp_path: Path):
    return runner(tmp_path)


@pytest.mark.parametrize("runs", [Runs.LOOP, Runs.THREAD])
def test_the_same_request_is_computed_once_and_journalled_each_time(load, run, runs):
    fake = Fake(runs)
    version = load(fake)
    fake.sizes.clear()
    seen = []

    async def work(bench):
        for value in (0.5, 0.5, 0.25, 0.5):
            caller = bench.ask(version, value, rows=2)
            await caller.done.wait()
            seen.append(caller.heard[0])

    records = run(work, cache_bytes=BYTES)
    assert fake.sizes == [2, 2], "0.5 and 0.25"
    assert [answer.cached for answer in seen] == [False, True, False, True]
    assert len({answer.id for answer in seen}) == 4
    assert [answer.scores for answer in seen] == [[0.5] * 4] * 4
    assert [record.flags for record in records] == [
        [],
        [(0, "", "CACHED"), (1, "", "CACHED")],
        [],
        [(0, "", "CACHED"), (1, "", "CACHED")],
    ]
    assert {record.path for record in records} == {"model"}


def test_of_those_that_come_together_only_the_new_ones_are_computed(load, run):
    fake = Fake(Runs.LOOP)
    version = load(fake)
    fake.sizes.clear()

    async def work(bench):
        first = bench.ask(version, 0.5)
        await first.done.wait()
        for value in (0.5, 0.1, 0.5, 0.2, 0.5):
            bench.ask(version, value)

    run(work, cache_bytes=BYTES)
    assert fake.sizes == [1, 2]


def test_another_version_is_asked_itself(load, run):
    first, second = Fake(Runs.LOOP), Fake(Runs.LOOP)
    versions = load(first), load(second, number=2)
    first.sizes.clear()
    second.sizes.clear()

    async def work(bench):
        for version in versions * 2:
            caller = bench.ask(version)
            await caller.done.wait()

    run(work, cache_bytes=BYTES)
    assert (first.sizes, second.sizes) == ([1], [1])


def test_what_the_guard_stopped_is_not_kept(load, run):
    fake = Fake(Runs.LOOP)
    version = load(fake)
    scores = iter([np.full((1, 2), np.nan), np.full((1, 2), 0.5)])
    version.execution._run = lambda numbers, texts: next(scores)
    heard = []

    async def work(bench):
        for _ in range(2):
            caller = bench.ask(version)
            await caller.done.wait()
            heard.append(caller.outcome)

    run(work, cache_bytes=BYTES)
    assert heard == [OutputInvalid, "model"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Each look at it takes a microsecond."""
    found = SimpleNamespace(now=1000.0)

    def look() -> float:
        found.now += 1e-6
        return float(found.now)

    monkeypatch.setattr("modelmark.serving.caching.cache.perf_counter", look)
    return found


def asked(cache: Cache, value: float, *, version=ONE, took: float = 1e-3, texts: tuple[str, ...] = ()) -> bool:
    """Whether it was answered before; else it is now."""
    at, found = cache.look_up(version, "churn v1", np.array([[value, 1.0]]), texts)
    if found is None and at:
        cache.keep(version, at, np.array([[value, 0.5]]).tobytes(), took)
    assert found is None or found.tolist() == [[value, 0.5]]
    return found is not None


def test_texts_and_the_shape_of_rows_are_part_of_the_input(clock):
    cache = Cache(BYTES, Metrics(None))
    assert [asked(cache, 1.0, texts=texts) for texts in (("a", "b"), ("ab", ""), ("a", "b"), ("a",))] == [
        False, False, True, False,
    ]  # fmt: skip
    flat, tall = np.array([[1.0, 2.0]]), np.array([[1.0], [2.0]])
    assert cache.look_up(ONE, "", flat, ())[0] != cache.look_up(ONE, "", tall, ())[0]
    assert cache.look_up(ONE, "", np.zeros((MOST_ROWS + 1, 2)), ())[0] == b""
    assert not asked(cache, 1.0, version=OTHER, texts=("a", "b"))


def test_it_stays_within_its_bytes_and_forgets_what_was_not_asked_for_longest(clock):
    entry = 16 + OVERHEAD
    cache = Cache(10 * entry, Metrics(None))
    for value in range(10):
        asked(cache, value)
    assert asked(cache, 0)
    asked(cache, 10)
    assert cache.bytes == 10 * entry
    assert [asked(cache, value) for value in (0, 2, 10)] == [True, True, True]
    assert not asked(cache, 1)


def test_it_goes_with_its_version(clock):
    cache = Cache(BYTES, Metrics(None))
    for version in (ONE, OTHER):
        asked(cache, 1.0, version=version)
    cache.purge({OTHER})
    assert [asked(cache, 1.0, version=version) for version in (ONE, OTHER)] == [False, True]


def test_where_it_costs_more_than_it_saves_it_is_off_for_a_while_and_says_so(clock, capfd):
    metrics = Metrics(None)
    cache = Cache(BYTES, metrics)
    for value in range(TRIAL):
        assert not asked(cache, value)
    assert cache.bytes == 0
    assert cache.count() == ["answers of churn v1 are not cached for now: looking them up costs more than it saves"]
    assert metrics.gauges["modelmark_cache_off"] == 1
    assert metrics.counters['modelmark_cache_lookups_total{outcome="new"}'] == TRIAL
    assert "cost more than it saved" in capfd.readouterr().err
    assert not any(asked(cache, 1.0) for _ in range(9))
    clock.now += REST
    assert (asked(cache, 1.0), asked(cache, 1.0), cache.count()) == (False, True, [])


def test_each_trial_that_fails_is_followed_by_a_longer_rest_and_one_that_pays_by_the_first(clock):
    cache = Cache(BYTES, Metrics(None))
    rests = []
    for trial in range(10):
        for value in range(TRIAL):
            asked(cache, value + trial * TRIAL)
        known = cache._known[ONE]
        rests.append(round(known.off_until - clock.now))
        clock.now = known.off_until + 1
    assert rests[:3] == [REST, 2 * REST, 4 * REST]
    assert max(rests) == LONGEST_REST
    for _ in range(TRIAL):
        asked(cache, 1.0)
    assert cache._known[ONE].rest == REST
    assert cache.count() == []


@pytest.mark.parametrize(("took", "stays"), [(1e-3, True), (1e-7, False)])
def test_what_pays_depends_on_what_a_run_takes(clock, took, stays):
    cache = Cache(BYTES, Metrics(None))
    for at in range(TRIAL):
        asked(cache, at % 100, took=took)  # four of five are found
    assert (cache.count() == []) is stays


def test_status_hears_of_it(tmp_path: Path):
    workspace = Workspace(tmp_path)
    assert cache_off(workspace) is None
    tell_cache_off(workspace, "0f", ["answers of churn v1 are not cached for now"])
    assert cache_off(workspace) == "answers of churn v1 are not cached for now"
    tell_cache_off(workspace, "0f", ())
    assert cache_off(workspace) is None
