"""What an act of governance does outside the ledger: marks, messages, MLflow's aliases, and what is finished behind it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from modelmark.domain.audit import Act, Event
from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.evidence import Evidence
from modelmark.domain.people import Role
from modelmark.domain.ports import ArtifactStore, Clock, Ledger, MonitoringStore
from modelmark.domain.release import Approval, Waiver
from modelmark.domain.routes import ArmRole, Route
from modelmark.domain.stored import JOURNAL_HEAD
from modelmark.domain.version import MARK, Version
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.witness import JournalHead
from modelmark.registry.mlflow import Tracking
from modelmark.seal.heads import check_receipt, open_head, seal_head, sign_receipt
from modelmark.seal.keys import Signer
from modelmark.seal.mark import issue

_MOST_ANSWER: Final = 1 << 20
_MARKING: Final = (Act.RELEASED, Act.RELEASED_AS_CANARY, Act.SHADOWED)


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


def _marked(event: Event) -> list[Digest]:
    """The versions that an act gave their marks."""
    if event.act == Act.BEGAN_EXPERIMENT:
        return [Digest(arm["version"]) for arm in event.details["arms"].values()]
    return [Digest(event.subject)] if event.act in _MARKING else []


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowRoutes:
    """MLflow's aliases follow the routes, and it keeps new marks. Versions that were never recorded there are left out."""

    ledger: Ledger
    artifacts: ArtifactStore
    tracking: Tracking
    route: Callable[[str], Route | None]

    def __call__(self, after: int) -> None:
        """MLflow hears of every act that issued a snapshot later than number `after`. Raises NotYet where it does not answer."""
        acts = [event for event in self.ledger.events() if int(event.details.get("snapshot", 0)) > after]
        for id in {id: None for event in acts for id in _marked(event)}:
            version = self.ledger.version(id)
            if version.lineage.run_id is not None:
                self.tracking.keep_mark(version, self.artifacts.folder(version.id) / MARK)
        for model in sorted({str(event.details["model"]) for event in acts}):
            self._follow(model)

    def _follow(self, model: str) -> None:
        if all(version.lineage.run_id is None for version in self.ledger.versions(model)):
            return
        route = self.route(model)
        arms = {ArmRole.CHAMPION: route.champion, ArmRole.CANARY: route.canary} if route else {}
        for alias in (ArmRole.CHAMPION, ArmRole.CANARY):
            arm = arms.get(alias)
            if arm is not None:
                self.tracking.set_alias(self.ledger.version(arm.version), alias)
            else:
                self.tracking.remove_alias(model, alias)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishBehind:
    """A process that finishes what follows an act, and outlives this one: `FinishActs` knows what is left, if it dies."""

    workspace: Workspace

    def __call__(self) -> subprocess.Popen[bytes]:
        """Raises OSError where the system starts none."""
        nothing = subprocess.DEVNULL
        command = [sys.executable, "-P", "-m", "modelmark.app.finish", str(self.workspace.root.resolve())]
        return subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBehind:
    """A process that trains a model again. Its answer is a file, since it outlives whoever looks away."""

    process: subprocess.Popen[bytes]
    answer: Path

    def poll(self) -> int | None:
        return self.process.poll()

    def told(self) -> str:
        """What it answered, or the last line that it said instead."""
        text = self.answer.read_bytes()[-_MOST_ANSWER:].decode("utf-8", "replace")
        try:
            found = json.loads(text[text.index("{") :])
            if "error" in found:
                return str(found["error"]["message"])
            return f"{found['label']} is {found['proof']['outcome']}: {found['proof']['sentence']}"
        except (ValueError, KeyError, TypeError):
            lines = text.strip().splitlines()
            return lines[-1] if lines else f"it ended with {self.process.returncode} and said nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainBehind:
    """Starts `modelmark retrain`, at the lowest priority."""

    workspace: Workspace

    def __call__(self, contract: Path, why: str) -> TrainingBehind:
        """Raises OSError where the system starts none."""
        self.workspace.runtime.mkdir(parents=True, exist_ok=True)
        answer = self.workspace.runtime / "retraining.json"
        words = [
            "--contract",
            str(contract),
            "--because",
            why,
            "--workspace",
            str(self.workspace.root.resolve()),
            "--json",
        ]
        with answer.open("wb") as file:
            process = subprocess.Popen(
                ["nice", "-n", "19", sys.executable, "-P", "-m", "modelmark", "retrain", *words],
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return TrainingBehind(process=process, answer=answer)
