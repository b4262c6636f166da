"""Runs the gates a contract asks for. A gate that breaks is evidence of nothing measured, never silence."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Final

from modelmark.domain.contract import Contract
from modelmark.domain.errors import Missing, ModelmarkError
from modelmark.domain.evidence import Bound, Check, Evidence, Limit
from modelmark.gates import BUILTIN
from modelmark.gates.case import Case, Champion, OneAtATime
from modelmark.gates.gate import Gate, GateKind, Measurement
from modelmark.seal.digests import plain
from modelmark.seal.values import restore

#: (gate, steps done, steps in all). Called from several threads, one at a time.
Progress = Callable[[str, int, int], None]

GROUP: Final = "modelmark.gates"
_log = logging.getLogger(__name__)


def required(contract: Contract) -> tuple[str, ...]:
    """The names of the gates this contract asks for, in the order they are shown."""
    return contract.asked()


def kinds() -> Mapping[str, GateKind]:
    """Every known gate: ours, then those of installed packages. One of ours cannot be replaced."""
    plugins = {point.name: point for point in entry_points(group=GROUP) if point.name not in BUILTIN}
    return {**BUILTIN, **{name: _later(point.load) for name, point in plugins.items()}}


def _later(load: Callable[[], GateKind]) -> GateKind:
    return lambda settings: load()(settings)


def build(contract: Contract, only: Collection[str] = ()) -> tuple[Gate, ...]:
    """The gates asked for, with their settings. Raises Missing for a name that nobody brings or the contract lacks."""
    known, wanted = kinds(), required(contract)
    for name in (*wanted, *only):
        if name not in known or name not in wanted:
            raise Missing(
                f"there is no gate {name!r} to run",
                code="NO_GATE",
                field=f"gates.plugins.{name}",
                limit=f"asked for by the contract: {', '.join(wanted)}; installed: {', '.join(known)}",
            )
    settings = {**dict(contract.gates.plugins), **{name: getattr(contract.gates, name) for name in BUILTIN}}
    return tuple(known[name](settings[name]) for name in wanted if not only or name in only)


def run_gates(
    case: Case,
    *,
    gates: Collection[Gate] | None = None,
    progress: Progress = lambda *_: None,
    workers: int = 2,
) -> tuple[Evidence, ...]:
    """Evidence of each gate, in the order given (by default: what the contract requires).

    Gates run side by side, except those that measure time, which run last and alone.
    """
    chosen = tuple(build(case.contract) if gates is None else gates)
    shared = replace(case, predictor=OneAtATime(case.predictor), champion=_shared(case.champion))
    done: dict[str, Evidence] = {}
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="gate") as pool, _one_by_one(progress) as say:
        together = [gate for gate in chosen if not gate.alone]
        for evidence in pool.map(lambda gate: run_gate(gate, shared, say), together):
            done[evidence.gate] = evidence
        for gate in chosen:
            if gate.alone:
                done[gate.name] = run_gate(gate, shared, say)
    return tuple(done[gate.name] for gate in chosen)


def _shared(champion: Champion | None) -> Champion | None:
    return champion and replace(champion, predictor=OneAtATime(champion.predictor))


@contextmanager
def _one_by_one(progress: Progress) -> Iterator[Progress]:
    from threading import Lock

    lock = Lock()

    def say(gate: str, done: int, total: int) -> None:
        with lock:
            progress(gate, done, total)

    yield say


def run_gate(gate: Gate, case: Case, progress: Progress = lambda *_: None) -> Evidence:
    """One gate's evidence, whatever happens to it."""
    started = time.perf_counter()
    progress(gate.name, 0, 1)
    try:
        looked_at = dict(case.looked_at)
        found = gate.measure(case, lambda done, total: progress(gate.name, done, total))
        if not found.checks:
            found = _unmeasured("the gate made no check")
    except ModelmarkError as error:
        looked_at, found = {}, _unmeasured(error.message + (f"; {error.hint}" if error.hint else ""))
    except Exception as error:  # noqa: BLE001 - logged and recorded, never swallowed
        # A broken gate must not stop the others, and must not pass either.
        _log.exception("gate %s broke", gate.name)
        looked_at, found = {}, _unmeasured(f"the gate itself broke: {type(error).__name__}: {error}")
    progress(gate.name, 1, 1)
    evidence = Evidence(
        gate=gate.name,
        candidate=case.version.id,
        checks=found.checks,
        at=case.clock(),
        seconds=round(time.perf_counter() - started, 3),
        notes=found.notes,
        figures=found.figures,
        tables=found.tables,
        looked_at={**looked_at, **(found.looked_at or {})} or None,
    )
    # As it will be read back: 0 and 0.0 are one limit but two texts, and evidence is known by the digest of its text.
    return restore(Evidence, plain(evidence))


def _unmeasured(why: str) -> Measurement:
    check = Check(
        name="could not measure",
        measured=None,
        limit=Limit(bound=Bound.AT_LEAST, value=1),
        sentence=f"Could not measure: {why}.",
    )
    return Measurement(checks=(check,))
