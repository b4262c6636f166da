"""The composition root: reads settings once and builds every object by hand, each when it is first needed."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelmark.app import naming, papers, releasing
from modelmark.domain import version as names
from modelmark.domain.contract import Contract, Role
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, Tampered
from modelmark.domain.evidence import Evidence
from modelmark.domain.people import Principal
from modelmark.domain.ports import Ledger, Watchbook
from modelmark.domain.progress import Progress, Steps
from modelmark.domain.release import Approval, Excuse, Snapshot, Waiver
from modelmark.domain.settings import Settings
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from modelmark.app.checking import Checked
    from modelmark.feedback.labels import LabelImport
    from modelmark.governance.audit import Audit
    from modelmark.governance.card import Card
    from modelmark.governance.difference import Side
    from modelmark.governance.people import People
    from modelmark.governance.releases import Releases
    from modelmark.governance.score import Scorecard
    from modelmark.governance.signatures import Signatures
    from modelmark.governance.signoff import SignOff
    from modelmark.governance.standing import Standing
    from modelmark.governance.verify import Item
    from modelmark.registry.drafting import Drafted
    from modelmark.registry.mlflow import Tracking
    from modelmark.registry.recalibrate import Recalibrated
    from modelmark.seal.keys import Signer, Verifier
    from modelmark.steward.loop import Steward
    from modelmark.steward.profiler import Watched
    from modelmark.storage.database import Database
    from modelmark.web.desk import Desk


def now() -> datetime:
    return datetime.now(UTC)


class App:
    """One installation. Attributes are built on first use, so a command pays only for what it touches."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.workspace: Workspace = settings.place

    @classmethod
    def open(cls, environ: Mapping[str, str] = os.environ, **given: Any) -> App:
        return cls(Settings.read({"MODELMARK_ACTOR": _login(), **environ}, **given))

    @cached_property
    def database(self) -> Database:
        from modelmark.storage.database import Database, sqlite_url

        return Database(self.settings.database or sqlite_url(self.workspace.database))

    @cached_property
    def ledger(self) -> Ledger:
        from modelmark.storage.ledger import SqlLedger

        return SqlLedger(self.database)

    @cached_property
    def watchbook(self) -> Watchbook:
        from modelmark.storage.watchbook import SqlWatchbook

        return SqlWatchbook(self.database)

    @cached_property
    def signer(self) -> Signer:
        from modelmark.seal.keys import signer

        return signer(self.workspace.keys)

    @property
    def verifier(self) -> Verifier:
        from modelmark.seal.keys import verifier

        return verifier(self.workspace.keys)

    @cached_property
    def audit(self) -> Audit:
        from modelmark.governance.audit import Audit

        return Audit(self.ledger, now)

    @cached_property
    def people(self) -> People:
        from modelmark.governance.people import People
        from modelmark.storage.directory import SqlDirectory

        return People(SqlDirectory(self.database), self.audit, now)

    @cached_property
    def principal(self) -> Principal | None:
        """Whose key the environment holds; None for the workspace's owner. Raises NotPermitted for a key of nobody."""
        return self.people.by_key(self.settings.key) if self.settings.key else None

    @property
    def actor(self) -> str:
        """Who acts at the command line, for the audit."""
        return self.principal.login if self.principal else self.settings.actor

    @cached_property
    def releases(self) -> Releases:
        from modelmark.contract.catalogue import required_gates
        from modelmark.governance.releases import Effects, Releases

        return Releases(
            self.ledger,
            self.audit,
            now,
            contract_of=self.contract_of,
            required=required_gates,
            effects=Effects(write_mark=self._write_mark, publish=self._publish, announce=self.announce),
            sign_off=self._sign_off(),
        )

    def _sign_off(self) -> SignOff:
        from modelmark.governance.signoff import SignOff

        return SignOff(
            people=self.people,
            clock=now,
            environment=self.settings.environment,
            signer=lambda: self.signer,
            verifier=lambda: self.verifier,
        )

    def announce(self, key: str, role: Role, title: str, body: str) -> None:
        """Into the outbox, which the steward empties; where nobody is to be told, nothing is kept."""
        if self.settings.notify:
            self.watchbook.queue_message(key, title, body, now(), audience=role)

    @cached_property
    def tracking(self) -> Tracking:
        from modelmark.registry.mlflow import Tracking

        return Tracking(workspace=self.workspace, uri=os.environ.get("MLFLOW_TRACKING_URI"))

    def init(self, model: str, **given: Any) -> Drafted:
        """Draft a contract; see `registry.drafting.draft_contract`."""
        from modelmark.registry.drafting import draft_contract

        return draft_contract(model, **given)

    def register(self, path: Path, *, progress: Progress) -> tuple[Version, bool]:
        """A version of the contract at `path`, and whether its bytes are new to this workspace."""
        from modelmark.contract.read import load
        from modelmark.domain.people import Permission
        from modelmark.gates.case import holdout_metrics
        from modelmark.registry.register import Registration, register
        from modelmark.stats.profile import reference

        self.people.permit(self.principal, Permission.REGISTER)
        document = load(path)
        known = [version.number for version in self.ledger.versions(document.contract.name)]
        steps = Steps(progress)
        how = Registration(
            base=document.path.resolve().parent,
            workspace=self.workspace,
            tracking=self.tracking,
            reference=reference,
            number=max(known, default=0) + 1,
            by=self.actor,
            clock=now,
            progress=steps,
            metrics=holdout_metrics,
        )
        version = register(document.contract, how)
        new = self.releases.register(version, actor=self.actor, by=self.principal)
        steps.end()
        return version, new

    def check(
        self,
        version: Version,
        path: Path,
        *,
        progress: Progress,
        only: Collection[str] = (),
        fast: bool = False,
        again: bool = False,
    ) -> Checked:
        """Run the version's gates on the tables beside the contract at `path`; keep the evidence and write the report.

        The version's own contract decides, not the file: editing limits makes another version. What a gate said about
        the same bytes, tables and champion stands, unless `again`.
        """
        from modelmark.app.checking import check

        return check(self, version, path, progress=progress, clock=now, only=only, fast=fast, again=again)

    def recalibrate(self, version: Version, path: Path, method: str | None) -> Recalibrated:
        """The version with a calibration map behind it, fitted on the validation table beside the contract at `path`."""
        from modelmark.app.checking import case_of
        from modelmark.registry.recalibrate import recalibrate
        from modelmark.stats.recalibration import Method

        base = (path if path.is_dir() else path.parent).resolve()
        return recalibrate(case_of(self, version, base, now), Method(method) if method else None)

    def steward(self, *, on_step: Callable[[Any], None] | None = None) -> Steward:
        """The control loop over everything that serves now."""
        from modelmark.notify.apprise import AppriseNotifier
        from modelmark.steward.loop import Steward

        notifier = AppriseNotifier(self.settings.notify) if self.settings.notify else None
        if notifier is not None:
            notifier.check()
        return Steward(self.workspace, self.watchbook, self.watched, notifier, now, on_step=on_step)

    def watched(self) -> list[Watched]:
        """What monitors need of every version that serves now. A version's own part never changes, so it is read once."""
        from modelmark.app.watching import watched

        return watched(self, self._watch)

    @cache  # noqa: B019 - one App lives as long as its process
    def _watch(self, id: Digest) -> Watched:
        from modelmark.app.watching import watch

        return watch(self, id)

    def worker_options(self) -> tuple[str, ...]:
        """How `serving.worker` is told of the settings."""
        wait = self.settings.journal_sync_ms
        return ("--sync", "always") if wait == 0 else ("--sync", "interval", "--sync-ms", str(wait))

    def dashboard(self) -> Starlette:
        from modelmark.web.server import build
        from modelmark.web.source import Source

        return build(
            desk=self._desk(),
            source=Source(
                workspace=self.workspace,
                ledger=self.ledger,
                watchbook=self.watchbook,
                releases=self.releases,
                contract_of=self.contract_of,
                clock=now,
            ),
        )

    def _desk(self) -> Desk:
        from modelmark.web.desk import Desk

        return Desk(
            people=self.people,
            releases=self.releases,
            waive=self.waive,
            release=self.release,
            rollback=self.rollback,
            side=self.side,
            signatures=self.signatures,
            card=self.card,
            notes=self.notes,
            scorecards=self.scorecards,
            environment=self.settings.environment,
        )

    def label(self, model: str, path: Path) -> LabelImport:
        """Take the labels of a file into the journal. They count as soon as the steward has compacted them."""
        from modelmark.feedback.labels import import_labels
        from modelmark.journal.writer import Sync, Writer

        champion = self.releases.champion(model)
        if champion is None:
            raise Missing(f"{model} serves nothing, so there is nothing to label", code="NOTHING_SERVES")
        with Writer(self.workspace.wal, sync=Sync.ALWAYS) as writer:
            return import_labels(path, model, self.contract_of(champion), self.workspace, writer, now())

    def contract_of(self, version: Version) -> Contract:
        """The contract a version was registered with, from its own bytes."""
        from modelmark.seal.digests import digest_bytes
        from modelmark.seal.values import decode_contract

        path = self.workspace.version(version.id) / names.CONTRACT
        if not path.exists():
            raise Missing(
                f"the files of {version.model} {version.label} are not in this workspace",
                code="NO_FILES",
                hint=f"modelmark fetch {version.label}",
            )
        data = path.read_bytes()
        if digest_bytes(data) != version.components.contract:
            raise Tampered(f"the contract of {version.model} {version.label} was changed", code="CONTRACT_CHANGED")
        return decode_contract(data)

    def find(self, reference: str | None, model: str | None = None) -> Version:
        """A version by `v3`, a digest's first digits, `champion`, `canary` or `latest`; None means latest."""
        return naming.find(self.ledger, reference, model)

    def release(self, version: Version, *, share: float = 1.0, by: Principal | None = None) -> Snapshot:
        """Mark the version, give it traffic, let MLflow's aliases say so, and tell each role in its own terms."""
        return releasing.release(self, version, share, by or self.principal)

    def waive(self, version: Version, excuse: Excuse, **given: Any) -> Standing:
        """As `Releases.waive`; the report then tells of it."""
        from modelmark.app.checking import renew_papers

        standing = self.releases.waive(version, excuse, **given)
        renew_papers(self, version, standing, now)
        return standing

    def rollback(
        self, model: str, *, reason: str = "", by: Principal | None = None
    ) -> tuple[Version, Version, Snapshot]:
        """See `Releases.rollback`; MLflow's aliases follow, and every role is told."""
        return releasing.rollback(self, model, reason, by or self.principal)

    def side(self, version: Version) -> Side:
        """A version with what is known of it, to hold against another."""
        return papers.side(self, version)

    def signatures(self, standing: Standing) -> Signatures:
        """Who says yes to a version, for people to read."""
        from modelmark.governance.signatures import signatures

        return signatures(standing, self.workspace, lambda: self.verifier)

    def scorecards(self, version: Version) -> tuple[Scorecard, Scorecard]:
        """The twelve mistakes and the ML Test Score, as receipts tell them now."""
        return papers.scorecards(self, version, now())

    def card(self, version: Version) -> Card:
        return papers.card(self, version, now())

    def notes(self, version: Version, audience: Role, before: Version | None = None) -> str:
        """Release notes for one audience, as Markdown. before: what it replaces [default: the champion]."""
        return papers.notes(self, version, audience, before)

    def verify(self) -> Iterator[Item]:
        """Every mark, the audit, the snapshot and the journal, one item each."""
        from modelmark.governance.verify import verify
        from modelmark.seal.snapshot import read_snapshot

        verifier = self.verifier
        return verify(
            self.workspace,
            self.ledger,
            verifier,
            people=self.people,
            snapshot=lambda: read_snapshot(self.workspace.snapshot, verifier),
            journal=self._journal_parts,
        )

    def _journal_parts(self) -> Iterator[tuple[str, int]]:
        from modelmark.journal.reader import verify_wal
        from modelmark.journal.receipts import Receipts, verify_tables

        yield from verify_tables(self.workspace)
        report = verify_wal(self.workspace.wal, Receipts.of(self.workspace).anchors)
        for writer in report.writers:
            yield f"log of writer {writer.writer[:8]}", writer.records
        if report.bad:
            raise report.bad

    def model(self, name: str | None) -> str:
        """The model meant: the named one, or the only one."""
        return self.find("latest", name).model

    def _write_mark(
        self,
        version: Version,
        evidence: Sequence[Evidence],
        approvals: Sequence[Approval],
        waivers: Sequence[Waiver],
        at: datetime,
    ) -> None:
        from modelmark.seal.mark import issue

        folder = self.workspace.version(version.id)
        self.contract_of(version)
        envelope = issue(version, evidence, approvals, waivers, at=at, folder=folder, signer=self.signer)
        write_whole(folder / names.MARK, envelope)

    def _publish(self, snapshot: Snapshot) -> None:
        from modelmark.seal.snapshot import write_snapshot

        write_snapshot(self.workspace.snapshot, snapshot, self.signer)


def write_whole(path: Path, data: bytes) -> None:
    """Readers see the old file or the new one, never a part."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in bare containers
        return f"uid {os.getuid()}"
