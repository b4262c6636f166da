"""Runs the gates a contract asks for. A gate that breaks is evidence of nothing measured, never silence."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from modelmark.contract.catalogue import gate_names, gate_row, load, required_gates
from modelmark.contract.plugin_settings import settings_of
from modelmark.domain.catalogue.gates import GATES
from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, ModelmarkError
from modelmark.domain.evidence import Bound, Check, Evidence, Limit, Verdict
from modelmark.gates.case import Case, Champion, OneAtATime
from modelmark.gates.gate import Gate, GateKind, Measurement
from modelmark.gates.parallelism import side_by_side
from modelmark.seal.digests import plain
from modelmark.seal.values import restore

#: (gate, steps done, steps in all). Called from several threads, one at a time.
RunProgress = Callable[[str, int, int], None]

CHAMPION: Final = "champion"
_log = logging.getLogger(__name__)


def build(contract: Contract, only: Collection[str] = (), *, fast: bool = False) -> tuple[Gate, ...]:
    """The gates asked for, with their settings; `fast`: the quick ones alone.

    Raises Missing for a name that nobody brings or the contract lacks, Rejected for settings that its package refuses.
    """
    wanted = required_gates(contract)
    for name in only:
        if name not in wanted:
            raise _missing(name, wanted)
    built = [_made(contract, name, wanted) for name in wanted if not only or name in only]
    return tuple(gate for gate in built if gate.quick or not fast)


def _made(contract: Contract, name: str, wanted: Sequence[str]) -> Gate:
    row = gate_row(name)
    if row is None:
        raise _missing(name, wanted)
    given = getattr(contract.gates, name) if name in GATES else settings_of(row, contract.gates.plugins[name])
    kind: GateKind = load(row)
    return kind(given)


def _missing(name: str, wanted: Sequence[str]) -> Missing:
    return Missing(
        f"there is no gate {name!r} to run",
        code="NO_GATE",
        field=f"gates.plugins.{name}",
        limit=f"asked for by the contract: {', '.join(wanted)}; installed: {', '.join(gate_names())}",
    )


def run_gates(
    case: Case,
    *,
    gates: Collection[Gate] | None = None,
    known: Sequence[Evidence] = (),
    progress: RunProgress = lambda *_: None,
    workers: int | None = None,
) -> tuple[Evidence, ...]:
    """Evidence of each gate, in the order given (by default: what the contract requires).

    Gates run side by side, as many as cores and memory allow, except those that measure time, which run last and
    alone. known: earlier evidence; a settled gate that spoke about these same bytes, tables and champion is not asked again.
    """
    chosen = tuple(build(case.contract) if gates is None else gates)
    # One case for all of them, also for what is asked before: a copy would read its tables again.
    shared = replace(case, predictor=OneAtATime(case.predictor), champion=_shared(case.champion))
    settled = (gate for gate in chosen if gate.settled)
    done = {gate.name: said for gate in settled if (said := standing_answer(shared, gate.name, known)) is not None}
    todo = [gate for gate in chosen if gate.name not in done]
    parallelism = workers or (side_by_side(shared) if todo else 1)
    with ThreadPoolExecutor(max_workers=parallelism, thread_name_prefix="gate") as pool, _one_by_one(progress) as say:
        together = [gate for gate in todo if not gate.alone]
        for evidence in pool.map(lambda gate: run_gate(gate, shared, say), together):
            done[evidence.gate] = evidence
        for gate in todo:
            if gate.alone:
                done[gate.name] = run_gate(gate, shared, say)
    return tuple(done[gate.name] for gate in chosen)


def standing_answer(case: Case, gate: str, known: Sequence[Evidence]) -> Evidence | None:
    """The gate's last word, when it could measure and looked at exactly what it would look at now."""
    said = [item for item in known if item.gate == gate and item.candidate == case.version.id]
    last = max(said, key=lambda item: item.at, default=None)
    if last is None or last.verdict is Verdict.CANNOT_TELL:
        return None
    try:
        now = inputs_of(case)
    except ModelmarkError:
        return None  # asked afresh, it says why
    seen = {name: digest for name, digest in (last.looked_at or {}).items() if name in {*now, CHAMPION}}
    return last if seen == now else None


def inputs_of(case: Case) -> dict[str, Digest]:
    """What every gate looks at: both tables, and the champion where there is one."""
    champion = case.champion.id if case.champion else None
    return dict(case.looked_at) | ({CHAMPION: champion} if champion is not None else {})


def _shared(champion: Champion | None) -> Champion | None:
    return champion and replace(champion, predictor=OneAtATime(champion.predictor))


@contextmanager
def _one_by_one(progress: RunProgress) -> Iterator[RunProgress]:
    from threading import Lock

    lock = Lock()

    def say(gate: str, done: int, total: int) -> None:
        with lock:
            progress(gate, done, total)

    yield say


def run_gate(gate: Gate, case: Case, progress: RunProgress = lambda *_: None) -> Evidence:
    """One gate's evidence, whatever happens to it."""
    started = time.perf_counter()
    progress(gate.name, 0, 1)
    try:
        looked_at = inputs_of(case)
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
