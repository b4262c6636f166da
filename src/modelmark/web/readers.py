"""The part of a version that each signer answers for, in that reader's terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Check, Verdict
from modelmark.domain.people import Person, Role
from modelmark.domain.release import Approval
from modelmark.governance.audiences import read_by
from modelmark.governance.difference import Side, sized

#: The question that each role answers with a signature.
QUESTIONS: Final[Mapping[Role, str]] = {
    Role.PRODUCT: "Is it worth it, and what must not be traded away for it?",
    Role.RISK: "Is it fair, where are its limits, and can we live with what remains?",
    Role.OPERATIONS: "Will it hold the traffic, and how do we undo it?",
    Role.DATA_SCIENCE: "Is the data what we say, and did the model learn the right thing?",
    Role.ENGINEERING: "Does the code do what was trained, and is what it ships sound?",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewSection:
    """One signer's reading. facts: (label, what was agreed). residual: what did not pass or cannot be told."""

    person: Person
    question: str
    facts: tuple[tuple[str, str], ...]
    checks: tuple[tuple[str, Check], ...]
    residual: tuple[tuple[str, Check], ...]
    signed: bool


def parts(side: Side, approvals: Sequence[Approval]) -> list[ReviewSection]:
    """A part per signer of the contract, in its order."""
    signed = {(a.role, a.name) for a in approvals}
    return [_part(person, side, (person.role, person.name) in signed) for person in side.contract.signers()]


def _part(person: Person, side: Side, signed: bool) -> ReviewSection:
    latest = side.latest
    checks = [(gate, check) for gate in read_by(person.role, latest) for check in latest[gate].checks]
    open_points = [
        (gate, check) for gate, item in latest.items() for check in item.checks if check.verdict is not Verdict.PASS
    ]
    return ReviewSection(
        person=person,
        question=QUESTIONS[person.role],
        facts=tuple(_facts(person.role, side.contract, side)),
        checks=tuple(item for item in checks if item[1].verdict is Verdict.PASS),
        residual=tuple(
            open_points if person.role is Role.RISK else [i for i in checks if i[1].verdict is not Verdict.PASS]
        ),
        signed=signed,
    )


def _facts(role: Role, contract: Contract, side: Side) -> Iterator[tuple[str, str]]:
    serving, line = contract.serving, side.version.lineage
    if role is Role.PRODUCT:
        for goal in contract.goals:
            target = "?" if goal.target is None else f"{goal.target:g}"
            yield "Goal", f"{goal.name}: to {target} {goal.unit} by {goal.by}"
        rails = ", ".join(f"{rail.metric.title} {rail.limit:g}" for rail in contract.guardrails)
        yield "Guardrails", rails or "none were named"
    if role is Role.RISK:
        yield "Fair to groups of", ", ".join(contract.data.sensitive) or "no column was named"
        yield "Not to be used for", "; ".join(contract.forbidden_uses) or "nobody has said"
        for asked in contract.questions:
            if Role.RISK in (asked.ask, asked.of):
                yield asked.question, asked.answer or "not answered"
    if role is Role.OPERATIONS:
        yield "Agreed traffic", f"{serving.rate_per_s:g} requests/s, 99 of 100 answers within {serving.p99_ms:g} ms"
        yield "Deadline", f"{serving.deadline_ms} ms; then {_chain(contract)}"
        yield "To undo it", f"Roll back on the model's page, or modelmark rollback --model {contract.name}"
    if role is Role.DATA_SCIENCE:
        yield "Inputs", f"{len(contract.inputs)}, target {contract.data.target}"
        yield "Training table", f"{contract.data.train}, {line.train_digest.short}"
        yield "Holdout", f"{contract.data.holdout}, {line.holdout_digest.short}"
        yield "Code", line.git_commit or "not in a git checkout"
    if role is Role.ENGINEERING:
        yield "Served model", f"{sized(side.size)}, {side.version.components.artifact.short}"
        yield "Conversion", f"{side.version.parity.flipped} of {side.version.parity.rows:,} decisions flipped"


def _chain(contract: Contract) -> str:
    return ", then ".join(step.kind.value.replace("_", " ") for step in contract.fallback) or "an error"
