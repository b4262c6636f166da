"""What every gate must do, ours and other people's. Call `check_gate` from a test of your gate."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from modelmark.domain.errors import Unmeasured
from modelmark.domain.evidence import Evidence, Verdict
from modelmark.domain.version import Version
from modelmark.gates.case import Case
from modelmark.gates.gate import Gate
from modelmark.gates.runner import run_gate
from modelmark.seal.digests import canonical
from modelmark.seal.values import decode


def check_gate(make: Callable[[], Gate], sound: Case, broken: Case | None = None) -> Evidence:
    """Raise AssertionError unless the gate keeps the conventions; its evidence on the sound case otherwise.

    sound: a candidate it must pass. broken: one with a planted fault that it must not pass.
    """
    gate = make()
    assert gate.name.isidentifier(), f"a gate's name is an identifier, not {gate.name!r}"
    steps: list[tuple[int, int]] = []
    evidence = run_gate(gate, sound, lambda _, done, total: steps.append((done, total)))
    assert evidence.verdict is Verdict.PASS, "\n".join(check.sentence for check in evidence.checks)
    assert steps, "a gate tells how far it is"
    assert all(0 <= done <= total for done, total in steps), f"progress out of bounds: {steps}"
    _well_formed(evidence)
    if not gate.alone:  # what measures time may differ from one moment to the next
        again = run_gate(make(), sound)
        assert [c.verdict for c in again.checks] == [c.verdict for c in evidence.checks], (
            "asked twice, it says otherwise"
        )
    _names_changed_data(make, sound)
    if broken is not None:
        found = run_gate(make(), broken)
        _well_formed(found)
        assert found.verdict is not Verdict.PASS, "it passes the planted fault"
    return evidence


def _well_formed(evidence: Evidence) -> None:
    names = [check.name for check in evidence.checks]
    assert len(set(names)) == len(names), f"two checks share a name: {names}"
    ids = [check.id for check in evidence.checks]
    assert len(set(ids)) == len(ids), f"two checks share an id: {ids}"
    for check in evidence.checks:
        assert check.sentence.endswith("."), f"a check speaks in a sentence: {check.sentence!r}"
        holds = check.verdict is Verdict.PASS
        assert not (holds and "cannot tell" in check.sentence.lower()), f"it holds, and cannot tell: {check.sentence!r}"
        if check.measured is not None and check.low is not None and check.high is not None:
            assert check.n, f"an interval needs its n: {check.name}"
            assert check.low <= check.high, f"an interval goes up: {check.name}"
    for said in (*(check.sentence for check in evidence.checks), *evidence.notes):
        assert not re.search(r"\bnan\b", said), f"what does not exist has no number: {said!r}"
    for table in evidence.tables:
        assert all(len(row) == len(table.columns) for row in table.rows), f"ragged table {table.title!r}"
    data = canonical(evidence)
    assert canonical(decode(Evidence, data)) == data, "evidence must survive being written and read"


def _names_changed_data(make: Callable[[], Gate], sound: Case) -> None:
    """Evidence about other data than the version names would be evidence about nothing."""
    line = replace(sound.version.lineage, holdout_digest=sound.version.lineage.source_digest)
    moved: Version = replace(sound.version, lineage=line)
    evidence = run_gate(make(), replace(sound, version=moved))
    assert evidence.verdict is Verdict.CANNOT_TELL, "it judged a table that is not the registered one"


class Unable:
    """A predictor that cannot answer: gates must say that they could not measure, and must not crash."""

    def predict(self, rows: object) -> list[list[float]]:
        raise Unmeasured("this predictor never answers")
