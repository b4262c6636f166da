"""Release notes, one text per audience, written from the difference and the evidence: facts, in the reader's terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Verdict
from modelmark.domain.people import Role
from modelmark.domain.release import Waiver
from modelmark.domain.waived import waived
from modelmark.governance.audiences import read_by
from modelmark.governance.difference import Side, difference

#: What each audience reads of the difference, first what matters most to it.
READS: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.PRODUCT: ("quality", "slices", "features"),
    Role.RISK: ("fairness", "slices", "behaviour and robustness", "quality", "contract"),
    Role.OPERATIONS: ("latency and load", "size", "contract"),
    Role.ENGINEERING: ("features", "latency and load", "size", "contract"),
    Role.DATA_SCIENCE: ("quality", "data", "features", "explanation", "data and supply"),
}
_ROWS: Final = 6
_SAME: Final = 3


def release_notes(audience: Role, after: Side, before: Side | None, waivers: Sequence[Waiver] = ()) -> str:
    """Markdown. before: the version it replaces; None for the first."""
    who = f"{after.version.model} {after.version.label}"
    replaces = f", which replaces {before.version.label}" if before else ", the first version"
    lines = [
        f"# {who} for {audience.value.replace('_', ' ')}",
        "",
        f"{who}{replaces}. {after.contract.purpose}".strip(),
        "",
    ]
    if before is None:
        lines += _first(audience, after)
    else:
        lines += _compared(audience, before, after)
    lines += [*_residual(audience, after, waivers), *_terms(audience, after.contract)]
    return "\n".join(" ".join(line.split()) for line in lines).rstrip() + "\n"  # data begins no line of its own


def _compared(audience: Role, before: Side, after: Side) -> Iterator[str]:
    sections = difference(before, after)
    known = {section.title: section for section in sections}
    first = next((title for title in READS[audience] if title in known), "")
    for title in READS[audience]:
        section = known.get(title)
        if section is None:
            continue
        yield f"## {title.capitalize()}"
        yield section.sentence
        for row in section.moved[:_ROWS]:
            change = f" ({row.change})" if row.change else ""
            yield f"- {row.what}: {row.before} → {row.after}{change}"
        # What an audience cares for most is told in figures, also when nothing moved.
        same = [row for row in section.rows if not row.moved][: _SAME if title == first else 0]
        yield from (f"- {row.what}: {row.after}, no sure change" for row in same)
        if len(section.moved) > _ROWS:
            command = f"modelmark diff {before.version.label} {after.version.argument}"
            yield f"- and {len(section.moved) - _ROWS} more: {command} lists them"
        yield ""


def _first(audience: Role, after: Side) -> Iterator[str]:
    latest = after.latest
    yield "## What was measured"
    for gate in read_by(audience, latest):
        for check in latest[gate].checks[:4]:
            yield f"- {check.verdict.sign} {check.sentence}"
    yield ""


def _residual(audience: Role, after: Side, waivers: Sequence[Waiver]) -> Iterator[str]:
    """What is not known, let through, or worth knowing: for risk in full, for others what was let through."""
    rows = [f"- {waived(waiver)}" for waiver in waivers]
    if audience is Role.RISK:
        rows += [
            f"- {check.verdict.sign} {check.sentence}"
            for item in after.latest.values()
            for check in item.checks
            if check.verdict is not Verdict.PASS
        ]
    if rows:
        yield "## What remains"
        yield from rows
        yield ""


def _terms(audience: Role, contract: Contract) -> Iterator[str]:
    serving = contract.serving
    if audience in (Role.OPERATIONS, Role.ENGINEERING):
        chain = ", then ".join(step.kind.value.replace("_", " ") for step in contract.fallback) or "nothing: errors"
        yield "## What was agreed"
        yield f"- Traffic: {serving.rate_per_s:g} requests/s; 99 of 100 answers within {serving.p99_ms:g} ms."
        yield f"- When the model cannot answer: {chain}."
        yield f'- To undo this: modelmark rollback --model {contract.name} --reason "why"'
        yield ""
    if audience is Role.PRODUCT and contract.goals:
        yield "## Goals"
        for goal in contract.goals:
            start = "" if goal.now is None else f"from {goal.now:g} "
            yield f"- {goal.name}: {start}to {goal.target:g} {goal.unit} by {goal.by}, measured by {goal.measure}."
        yield ""
    if audience in (Role.PRODUCT, Role.RISK):
        yield "## Uses"
        yield f"- For: {'; '.join(contract.intended_uses) or 'nobody has said yet'}."
        yield f"- Not for: {'; '.join(contract.forbidden_uses) or 'nobody has said yet'}."
        yield ""
