"""From what production has taught since to a challenger that surely is better, or is kept as evidence that it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from modelmark.app.retrained import (
    TRAIN,
    Facts,
    asked,
    code_digest,
    forget_unfinished,
    require_agreed_code,
    take_code,
    write_contract,
    write_tables,
)
from modelmark.contract.read import Document, load
from modelmark.contract.table import agreed_table
from modelmark.domain.audit import Act
from modelmark.domain.contract import Contract
from modelmark.domain.errors import NotPermitted, Rejected
from modelmark.domain.evidence import Evidence, Verdict
from modelmark.domain.people import Permission, Principal, credential
from modelmark.domain.ports import Clock, Trainer
from modelmark.domain.progress import Progress, Steps
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.governance.audit import Audit
from modelmark.governance.people import People
from modelmark.journal.tables.query import labelled
from modelmark.journal.tables.receipts import table_versions
from modelmark.journal.tables.schema import LABELS, table_of
from modelmark.retraining.proof import Outcome, Proof, judge
from modelmark.retraining.snapshot import freeze
from modelmark.seal.digests import digest_file

#: Registers the contract in a folder: the version, and whether its bytes are new.
Registered = Callable[[Path, Progress, Principal | None], tuple[Version, bool]]
#: Runs every gate of a version on the tables of a folder: its evidence, and every gate's verdict.
Judged = Callable[[Version, Path, Progress, Principal | None], tuple[tuple[Evidence, ...], Mapping[str, Verdict]]]
#: Approves a version in the names of those who agreed beforehand, in words. Raises NotPermitted where they did not.
Consented = Callable[[Version, str, Principal | None], str]
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """folder: with tables, code, model, contract and facts. version: what it was registered as."""

    version: Version
    folder: Path
    facts: Facts
    proof: Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrain:
    """champion: what serves for a model now."""

    workspace: Workspace
    champion: Callable[[str], Version | None]
    register: Registered
    check: Judged
    consent: Consented
    trainer: Trainer
    audit: Audit
    people: People
    clock: Clock
    owner: str

    def __call__(self, path: Path, *, why: str, progress: Progress, by: Principal | None = None) -> Retrained:
        """A challenger of the contract at `path`.

        Raises Rejected (NO_ENTRY) where it names no code that trains, NotPermitted (NO_CHAMPION) before the first release,
        NotEnoughData for too few labels, what the training code fails with, and as registering and checking do.
        """
        self.people.permit(by, Permission.REGISTER)
        document = load(path)
        contract, base = document.contract, document.path.resolve().parent
        champion = self._require(document)
        require_agreed_code(document)
        steps = Steps(progress)
        steps("freezing what was labelled")
        folder, facts = self._frozen(contract, base, champion, why)
        steps(f"training: {contract.retraining.entry}")
        trained = self.trainer.train(asked(contract, folder, folder / TRAIN))
        (folder / trained.name).write_bytes(trained.model)
        steps.end()
        where = write_contract(contract, folder, trained.name)
        version, new = self.register(where, progress, by)
        facts = replace(
            facts, model_file=trained.name, seconds=trained.seconds, network_cut=trained.network_cut,
            model=version.lineage.source_digest, version=version.id,
        )  # fmt: skip
        if new or version.id != champion.id:
            proof = judge(*self.check(version, folder, progress, by))
        else:
            proof = Proof(outcome=Outcome.SAME, sentence="the training code left the very model that serves")
        facts = replace(facts, outcome=proof.outcome.value, sentence=proof.sentence, gain=proof.gain)
        self.audit.append(
            by.login if by else self.owner, Act.RETRAINED, version.id, model=version.model, number=version.number, why=why,
            after=champion.id, base=facts.base, code=facts.code, train=facts.train, later=facts.later,
            outcome=proof.outcome.value, **credential(by),
        )  # fmt: skip
        facts = replace(facts, consent=self._consent(version, facts, by) if proof.outcome is Outcome.BETTER else "")
        facts.keep(folder)
        return Retrained(version=version, folder=folder, facts=facts, proof=proof)

    def _consent(self, version: Version, facts: Facts, by: Principal | None) -> str:
        """In words: who agreed beforehand, or why somebody has to be asked."""
        try:
            return self.consent(version, str(facts.code), by)
        except NotPermitted as error:
            return error.message

    def _require(self, document: Document) -> Version:
        contract = document.contract
        if contract.retraining.entry is None:
            raise Rejected(
                f"the contract of {contract.name} names no code that trains", code="NO_ENTRY", field="retraining.entry",
                hint="retraining: {entry: train.py:train} in modelmark.yaml",
            )  # fmt: skip
        champion = self.champion(contract.name)
        if champion is None:
            raise NotPermitted(
                f"{contract.name} has no champion that a new model could be better than", code="NO_CHAMPION",
                hint="release one first",
            )  # fmt: skip
        return champion

    def _frozen(self, contract: Contract, base: Path, champion: Version, why: str) -> tuple[Path, Facts]:
        now = self.clock()
        wanted = [item.name for item in contract.inputs] + [contract.data.target]
        table = agreed_table(base / contract.data.train, contract, wanted)
        read = (table_of(contract.name), LABELS)
        versions = {name: number for name, number in table_versions(self.workspace).items() if name in read}
        rows = labelled(self.workspace, contract.name, _BEGINNING, now, by="prediction", inputs=True)
        frozen = freeze(contract, table, rows, now)
        forget_unfinished(self.workspace.retraining / contract.name)
        folder = self.workspace.retraining / contract.name / f"{now:%Y%m%dT%H%M%S%f}"
        folder.mkdir(parents=True)
        take_code(base, folder, contract)
        train, later = write_tables(frozen, folder)
        facts = Facts(
            model_name=contract.name, after=champion.id, why=why, at=now, entry=contract.retraining.entry or "",
            seed=contract.retraining.seed, tables=versions, base=digest_file(base / contract.data.train),
            code=code_digest(folder), train=train, later=later, rows=len(frozen.train),
            later_rows=len(frozen.later), labelled=frozen.labelled, capped=frozen.capped, since=frozen.since,
            until=frozen.until, parted=frozen.parted, sources=frozen.sources,
        )  # fmt: skip
        facts.keep(folder)
        return folder, facts
