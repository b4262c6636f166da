"""The model card (Mitchell et al. 2019, FAT*): every fact from a receipt, with its date; what only people can say, empty
until it is signed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from modelmark.contract.catalogue import shown_gates
from modelmark.domain.catalogue.gates import GATES
from modelmark.domain.catalogue.rows import CardSection
from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Check, Evidence, Figure, Verdict
from modelmark.domain.metrics import Task
from modelmark.domain.release import Approval, Waiver
from modelmark.domain.version import Version
from modelmark.domain.waived import waived
from modelmark.governance.difference import Side, sized
from modelmark.seal.digests import digest_value

TASKS: Final[Mapping[Task, str]] = {
    Task.BINARY: "tabular-classification",
    Task.MULTICLASS: "tabular-classification",
    Task.REGRESSION: "tabular-regression",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What proves a statement. number: how the card refers to it. digest: of the record that `verify` compares."""

    number: int
    what: str
    digest: str
    at: datetime
    gate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One fact. receipt: its number; None for what only people could say, which then names who signed."""

    text: str
    receipt: int | None = None
    sign: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPart:
    """One section. waits_for: why it is empty, and for whom."""

    title: str
    statements: tuple[Statement, ...] = ()
    figures: tuple[Figure, ...] = ()
    waits_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything a card says, before it takes a form. results: metric -> (value, receipt) of the holdout."""

    title: str
    version: Version
    task: str
    parts: tuple[CardPart, ...]
    receipts: tuple[Receipt, ...]
    results: tuple[tuple[str, float], ...]
    at: datetime


def model_card(
    side: Side, approvals: Sequence[Approval], missing: Sequence[str], at: datetime, waivers: Sequence[Waiver] = ()
) -> Card:
    """approvals: those that count; missing: signers who have not approved, by name. What they sign, they say.

    waivers: those that hold.
    """
    book = _Receipts(side)
    contract, version = side.contract, side.version
    parts = (
        CardPart(title="Model details", statements=tuple(_details(book))),
        _human("Intended use", _uses(contract), approvals, missing),
        book.part(CardSection.FACTORS, _groups(contract, book)),
        book.part(CardSection.METRICS, ()),
        CardPart(title="Evaluation data", statements=tuple(_tables(book, "holdout"))),
        CardPart(title="Training data", statements=tuple(_tables(book, "train"))),
        book.part(CardSection.ANALYSES, ()),
        _human("Ethical considerations", [contract.ethical_considerations], approvals, missing),
        _human("Caveats and recommendations", [contract.caveats], approvals, missing, also=_limits(book, waivers)),
    )
    return Card(
        title=f"{version.model} {version.label}",
        version=version,
        task=TASKS[contract.model.task],
        parts=parts,
        receipts=tuple(book.receipts.values()),
        results=tuple(_results(book)),
        at=at,
    )


class _Receipts:
    """Hands out receipt numbers as statements are made."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.latest = side.latest
        self.receipts: dict[str, Receipt] = {}

    def note(self, what: str, digest: str, at: datetime, gate: str = "") -> int:
        if digest not in self.receipts:
            number = len(self.receipts) + 1
            self.receipts[digest] = Receipt(number=number, what=what, digest=digest, at=at, gate=gate)
        return self.receipts[digest].number

    def of_gate(self, item: Evidence) -> int:
        return self.note(f"evidence of the gate {item.gate.replace('_', ' ')}", digest_value(item), item.at, item.gate)

    def of_registration(self) -> int:
        version = self.side.version
        return self.note("the registration of this version", version.id, version.created_at)

    def of_contract(self) -> int:
        version = self.side.version
        return self.note("the contract of this version", version.components.contract, version.created_at)

    def part(self, section: CardSection, before: Sequence[Statement]) -> CardPart:
        """What the section's gates say: of this house, of the contract's plugins, and of whoever spoke."""
        said = list(before)
        figures: list[Figure] = []
        known = shown_gates((*GATES, *self.side.contract.gates.plugins, *self.latest))
        mine = [(row.card.rank, row.name) for row in known if row.card is not None and row.card.section is section]
        gates = [name for _, name in sorted(mine, key=lambda item: item[0])]
        for gate in gates:
            if gate in self.latest:
                said += self.checks(self.latest[gate])
                figures += self.latest[gate].figures[:2]
        waits = "" if said else f"not measured: {', '.join(gates)}"
        return CardPart(title=section.value, statements=tuple(said), figures=tuple(figures), waits_for=waits)

    def checks(self, item: Evidence) -> Iterator[Statement]:
        number = self.of_gate(item)
        for check in item.checks:
            yield Statement(text=check.sentence, receipt=number, sign=check.verdict.sign)


def _details(book: _Receipts) -> Iterator[Statement]:
    version, contract = book.side.version, book.side.contract
    number = book.of_registration()
    line = version.lineage
    yield Statement(
        text=f"Version {version.number} of {version.model}, a {contract.model.task} model over {len(contract.inputs)} inputs.",
        receipt=number,
    )
    yield Statement(text=f"Registered by {version.registered_by} from {line.source}.", receipt=number)
    commit = f"Code: git commit {line.git_commit}." if line.git_commit else "Its code was not in a git checkout."
    yield Statement(text=commit, receipt=number)
    yield Statement(
        text=f"Served as an ONNX graph of {sized(book.side.size)}, digest {version.components.artifact}.",
        receipt=number,
    )
    serving = contract.serving
    yield Statement(
        text=f"Agreed: {serving.rate_per_s:g} requests a second, 99 of 100 answers within {serving.p99_ms:g} ms.",
        receipt=book.of_contract(),
    )


def _uses(contract: Contract) -> list[str]:
    uses = [contract.purpose]
    uses += [f"For: {'; '.join(contract.intended_uses)}."] if contract.intended_uses else []
    uses += [f"Out of scope: {'; '.join(contract.forbidden_uses)}."] if contract.forbidden_uses else []
    return uses


def _human(
    title: str,
    texts: Sequence[str],
    approvals: Sequence[Approval],
    missing: Sequence[str],
    also: Sequence[Statement] = (),
) -> CardPart:
    """What people said, once all who sign have signed it; before that, who it waits for. `also`: what receipts prove."""
    said = [text.strip() for text in texts if text.strip()]
    if missing or not approvals:
        waits = f"empty until signed by {', '.join(missing) or 'somebody'}"
        return CardPart(title=title, statements=tuple(also), waits_for=waits)
    if not said:
        return CardPart(title=title, statements=tuple(also), waits_for="nobody has written this; only a person can")
    names = ", ".join(_signature(a) for a in approvals)
    signed = [*(Statement(text=text) for text in said), Statement(text=f"Signed by {names}.")]
    return CardPart(title=title, statements=(*signed, *also))


def _signature(approval: Approval) -> str:
    how = f" {approval.credential}" if approval.via else ""
    return f"{approval.name} ({approval.role.replace('_', ' ')}) on {approval.at:%Y-%m-%d}{how}"


def _groups(contract: Contract, book: _Receipts) -> list[Statement]:
    if not contract.data.sensitive:
        return [Statement(text="The contract names no sensitive column.", receipt=book.of_contract())]
    names = ", ".join(contract.data.sensitive)
    return [Statement(text=f"Groups that must be treated fairly: {names}.", receipt=book.of_contract())]


def _tables(book: _Receipts, which: str) -> Iterator[Statement]:
    contract, line = book.side.contract, book.side.version.lineage
    name = contract.data.holdout if which == "holdout" else contract.data.train
    digest = line.holdout_digest if which == "holdout" else line.train_digest
    yield Statement(text=f"{name}, digest {digest}; target {contract.data.target}.", receipt=book.of_registration())
    if contract.data.time:
        yield Statement(text=f"Ordered in time by {contract.data.time}.", receipt=book.of_contract())
    tables = ("train_keeps_the_contract", "holdout_keeps_the_contract")
    item = book.latest.get("data_contract")
    for check in item.checks if item else ():
        shared = which == "holdout" and check.id not in tables
        if item is not None and (check.id == f"{which}_keeps_the_contract" or shared):
            yield Statement(text=check.sentence, receipt=book.of_gate(item), sign=check.verdict.sign)


def _limits(book: _Receipts, waivers: Sequence[Waiver]) -> list[Statement]:
    """What was let through, did not pass, could not be told, or only informs: the limits of what is known."""
    let_through = [
        Statement(text=waived(w), receipt=book.note(f"the waiver of the gate {w.gate}", digest_value(w), w.at))
        for w in waivers
    ]
    return let_through + [
        Statement(text=check.sentence, receipt=book.of_gate(item), sign=check.verdict.sign)
        for item in book.latest.values()
        for check in item.checks
        if check.verdict is not Verdict.PASS
    ]


def _results(book: _Receipts) -> Iterator[tuple[str, float]]:
    item = book.latest.get("holdout")
    check = item.check("objective") if item else None
    if check is not None and (value := _estimate(check)) is not None:
        yield book.side.contract.objective.metric.value, value


def _estimate(check: Check) -> float | None:
    return check.measured if check.estimate is None else check.estimate
