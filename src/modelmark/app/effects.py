"""What an act of governance does outside the ledger: marks, snapshots, messages, MLflow's aliases."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from modelmark.domain.contract import Contract
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.evidence import Evidence
from modelmark.domain.people import Role
from modelmark.domain.ports import ArtifactStore, Clock, Ledger, MonitoringStore
from modelmark.domain.printable import one_line
from modelmark.domain.release import Approval, Waiver
from modelmark.domain.routes import ArmRole, Route
from modelmark.domain.stored import JOURNAL_HEAD
from modelmark.domain.version import MARK, Version
from modelmark.journal.tables.witness import JournalHead
from modelmark.registry.mlflow import Tracking
from modelmark.seal.heads import check_receipt, open_head, seal_head, sign_receipt
from modelmark.seal.keys import Signer
from modelmark.seal.mark import issue


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Issues the mark, and puts it beside the version's files."""

    artifacts: ArtifactStore
    contract_of: Callable[[Version], Contract]
    signer: Callable[[], Signer]

    def issue(
        self,
        version: Version,
        evidence: Sequence[Evidence],
        approvals: Sequence[Approval],
        waivers: Sequence[Waiver],
        at: datetime,
    ) -> bytes:
        """Raises Missing or Tampered when a file is gone or is not what the version was named after."""
        self.contract_of(version)
        folder = self.artifacts.folder(version.id)
        return issue(version, evidence, approvals, waivers, at=at, folder=folder, signer=self.signer())

    def keep(self, version: Version, envelope: bytes) -> None:
        self.artifacts.write(version.id, MARK, envelope)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignJournal:
    """Implements `journal.tables.witness.Witness`: the head goes into the ledger, away from the files it is about."""

    ledger: Ledger
    signer: Callable[[], Signer]

    def sign(self, link: bytes) -> str:
        return sign_receipt(self.signer(), link)

    def check(self, link: bytes, signature: str) -> None:
        check_receipt(self.signer().verifier(), link, signature)

    def kept(self) -> JournalHead | None:
        envelope = self.ledger.head(JOURNAL_HEAD)
        return None if envelope is None else JournalHead.of(open_head(JOURNAL_HEAD, envelope, self.signer().verifier()))

    def keep(self, head: JournalHead) -> None:
        self.ledger.set_head(JOURNAL_HEAD, seal_head(JOURNAL_HEAD, head.plain(), self.signer()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """Into the outbox, which the steward empties."""

    monitoring_store: MonitoringStore
    clock: Clock

    def __call__(self, key: str, role: Role, title: str, body: str) -> None:
        self.monitoring_store.queue_message(key, title, body, self.clock(), audience=role)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowRoutes:
    """MLflow's aliases follow the routes, and it keeps new marks. A dead MLflow undoes no release; people are told."""

    ledger: Ledger
    artifacts: ArtifactStore
    tracking: Tracking
    route: Callable[[str], Route | None]

    def keep_mark(self, version: Version) -> None:
        """MLflow gets the mark of a version just released, and its aliases follow."""
        self._follow(version.model, marked=version)

    def follow(self, model: str) -> None:
        self._follow(model, marked=None)

    def _follow(self, model: str, marked: Version | None) -> None:
        route = self.route(model)
        arms = {ArmRole.CHAMPION: route.champion, ArmRole.CANARY: route.canary} if route else {}
        try:
            if marked is not None:
                self.tracking.keep_mark(marked, self.artifacts.folder(marked.id) / MARK)
            for alias in (ArmRole.CHAMPION, ArmRole.CANARY):
                arm = arms.get(alias)
                if arm is not None:
                    self.tracking.set_alias(self.ledger.version(arm.version), alias)
                else:
                    self.tracking.remove_alias(model, alias)
        except ModelmarkError as error:
            warning = f"warning: MLflow's aliases and marks of {model} are out of date: {error.message}"
            sys.stderr.write(one_line(warning) + "\n")
