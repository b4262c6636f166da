"""The seams between rooms. Implementations live above; in-memory twins live in `modelmark.testing`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from modelmark.domain.alerts.outbox import Undelivered
from modelmark.domain.audit import Event
from modelmark.domain.digest import Digest
from modelmark.domain.evidence import Evidence
from modelmark.domain.finding import Alert, AlertDetails, Finding
from modelmark.domain.people import Account, ApiKey, Session
from modelmark.domain.release import Approval, Comment, State, Waiver
from modelmark.domain.routes import Snapshot
from modelmark.domain.stored import Row
from modelmark.domain.suite import Suite, SuiteRun
from modelmark.domain.training import Trained, Training
from modelmark.domain.version import Version
from modelmark.domain.version_record import VersionRecord

Clock = Callable[[], datetime]


class Ledger(Protocol):
    """Governance's memory. What happens inside `transaction` is one act: all of it or none, one writer at a time."""

    def transaction(self) -> AbstractContextManager[None]: ...

    def add_version(self, version: Version) -> None: ...
    def version(self, id: Digest) -> Version: ...
    def versions(self, model: str | None = None) -> Sequence[Version]: ...
    def records(self, ids: Collection[Digest]) -> Mapping[Digest, VersionRecord]:
        """What is known of many versions, read together. Raises Missing (NO_VERSION) for one that is not there."""
        ...

    def state(self, id: Digest) -> State: ...
    def set_state(self, id: Digest, state: State, *, expected: State) -> None: ...

    def add_evidence(self, evidence: Evidence) -> None: ...
    def evidence(self, id: Digest) -> Sequence[Evidence]: ...

    def add_approval(self, approval: Approval) -> None:
        """Raises Conflict (NONCE_USED) when a ticket's nonce was used before."""
        ...

    def approvals(self, id: Digest) -> Sequence[Approval]: ...
    def add_waiver(self, waiver: Waiver) -> None: ...
    def waivers(self, id: Digest) -> Sequence[Waiver]: ...

    def add_comment(self, comment: Comment) -> None: ...
    def comments(self, id: Digest) -> Sequence[Comment]: ...

    def set_snapshot(self, snapshot: Snapshot) -> None: ...
    def snapshot(self) -> Snapshot | None: ...

    def append_event(self, event: Event) -> None: ...
    def last_event(self) -> Event | None: ...
    def events(self, *, after: int = 0, limit: int | None = None) -> Sequence[Event]: ...

    def take_written(self) -> Mapping[str, str | None]:
        """The rows that this transaction wrote since it was last asked, accounts and keys included: name to SHA-256 of
        the row (hexadecimal), None for a row that is gone. The audit tells of them."""
        ...

    def rows(self) -> Iterable[Row]:
        """Every row that the audit must have told of, undecoded, so that one bad row hides no other."""
        ...

    def summed_rows(self) -> Mapping[str, Sequence[Row]]:
        """Every row of each table that a signed sum covers, by table, undecoded. The sum is the head of that name."""
        ...

    def row_counts(self) -> Mapping[str, int]:
        """How many rows each table has of which `rows` tells."""
        ...

    def audit_rows(self) -> Iterable[Row]:
        """Every row of the audit, undecoded, in the order of its numbers."""
        ...

    def heads(self) -> Mapping[str, str]:
        """Every signed head by name."""
        ...

    def head(self, name: str) -> str | None:
        """A signed head, as it was set; None where there is none."""
        ...

    def set_head(self, name: str, envelope: str) -> None: ...


class ArtifactStore(Protocol):
    """The files of every version. What it gives is as it was put there or was changed since: whoever loads it checks its
    digests."""

    def folder(self, id: Digest) -> Path:
        """A local folder to load a version from, with every file there is of it; of a version that is not here, a folder
        that does not exist or is empty. It is for reading."""
        ...

    def size(self, id: Digest, name: str) -> int | None:
        """Bytes of one file; None when it is not there."""
        ...

    def read(self, id: Digest, name: str) -> bytes:
        """Raises Missing (NO_FILES) when it is not there."""
        ...

    def write(self, id: Digest, name: str, data: bytes) -> None:
        """Put one file into a version that is there. Readers see the old one or the new one, never a part.

        Raises Missing (NO_FILES) for a version that is not."""
        ...

    def digests(self, id: Digest) -> Mapping[str, str]:
        """SHA-256 (hexadecimal) of every file that is there of a version, by path; anything but a plain file has its
        kind instead. What a crash left half written is left out."""
        ...

    def ids(self) -> Sequence[str]:
        """The names of every version's folder, in order: hexadecimal ids, and whatever else somebody put beside them."""
        ...

    def add(self, id: Digest, files: Path) -> None:
        """A whole version, copied from the folder `files`: all of it is there, or none. What a crash left of it goes."""
        ...


class AccountStore(Protocol):
    """Who may sign in. Secrets reach it only as hashes and digests."""

    def transaction(self) -> AbstractContextManager[None]: ...

    def put_account(self, account: Account) -> None:
        """A new account, or the new state of a known one."""
        ...

    def account(self, login: str) -> Account | None: ...
    def accounts(self) -> Sequence[Account]: ...

    def put_key(self, key: ApiKey) -> None: ...
    def key(self, digest: str) -> ApiKey | None: ...
    def api_keys(self, login: str | None = None) -> Sequence[ApiKey]: ...

    def add_session(self, session: Session) -> None: ...
    def session(self, digest: str) -> Session | None: ...
    def end_sessions(self, *, login: str | None = None, digest: str | None = None) -> None: ...

    def note_failure(self, key: str, at: datetime) -> None:
        """A sign-in that failed, or that may fail. key: what it is counted under, at most 63 characters."""
        ...

    def failures(self, key: str, since: datetime) -> int: ...
    def forget_failure(self, key: str, at: datetime) -> None: ...


class MonitoringStore(Protocol):
    """The steward's memory: how far it got, what monitors saw, which alerts are open, what waits to be sent."""

    def transaction(self) -> AbstractContextManager[None]: ...

    def checkpoint(self, name: str) -> Mapping[str, Any]: ...
    def set_checkpoint(self, name: str, value: Mapping[str, Any]) -> None: ...

    def add_profile(self, model: str, version: str, bucket: datetime, column: str, counts: bytes) -> None:
        """Store the counts of one column in one time bucket; the same key again replaces them."""
        ...

    def profiles(
        self, model: str, version: str, start: datetime, end: datetime, *, column: str | None = None
    ) -> Iterable[tuple[datetime, str, bytes]]:
        """(bucket, column, counts) of buckets in [start, end), by both; of one column where given."""
        ...

    def active_buckets(self, model: str, column: str, start: datetime, end: datetime) -> Sequence[datetime]:
        """Those in which any version of the model has counts of that column, in order."""
        ...

    def counts(self, model: str, column: str, start: datetime, end: datetime) -> Sequence[bytes]:
        """The counts of that column in those, of every version."""
        ...

    def add_findings(self, findings: Iterable[Finding]) -> None: ...
    def findings(
        self,
        model: str,
        *,
        version: Digest | None = None,
        start: datetime | None = None,
        monitor: str | None = None,
        limit: int = 1000,
    ) -> Sequence[Finding]:
        """Newest window first; of one version, of one monitor, ending after `start`, where given."""
        ...

    def thin_findings(self, before: datetime, span: timedelta, *, but: Collection[str] = ()) -> int:
        """Of those whose window ended before, keep one a subject and span of time: the newest, one that alerts before all
        others. but: monitors that are left as they are. Returns how many went."""
        ...

    def drop_findings(self, before: datetime) -> int: ...
    def drop_messages(self, before: datetime) -> int:
        """Those about alerts, and those to webhooks, that were sent before; what a release announced to people stays, for
        scorecards rest on it."""
        ...

    def profiled(self) -> Sequence[tuple[str, str, datetime]]:
        """Model, version and oldest bucket of whatever has profiles."""
        ...

    def drop_profiles(
        self, *, before: datetime, since: datetime | None = None, of: tuple[str, str] | None = None, but: str = ""
    ) -> None:
        """Buckets in [since, before), of one model and version where given. but: a column that stays."""
        ...

    def open_alert(self, finding: Finding, at: datetime) -> tuple[Alert, bool]:
        """The open alert of this story, and whether it is new. An open one counts up instead."""
        ...

    def set_details(self, alert: int, details: AlertDetails) -> None: ...

    def reopen_alert(self, alert: int) -> None:
        """One that was over goes on. Of its story none else may be open."""
        ...

    def alert(self, id: int) -> Alert:
        """Raises Missing (NO_ALERT)."""
        ...

    def close_alert(self, alert: int, at: datetime) -> None: ...
    def alerts(self, *, model: str | None = None, open_only: bool = False, limit: int = 200) -> Sequence[Alert]: ...

    def queue_message(
        self, key: str, title: str, body: str, at: datetime, *, audience: str = "", severity: str = ""
    ) -> None:
        """Put a message in the outbox; a key that is there already changes nothing. audience: a role, everybody, or
        `hook:ID`, one webhook; severity: of what it tells of, empty for no alert."""
        ...

    def due_messages(self, now: datetime, *, hook: str | None = None) -> Sequence[Message]:
        """What is due to be sent: to people, or to one webhook. Dead letters are not."""
        ...

    def undelivered(self, *, least_tries: int = 0) -> Sequence[Undelivered]:
        """What has not arrived, and was tried at least so often, by key."""
        ...

    def give_up(self, keys: Collection[str], error: str) -> None:
        """Those of them that have not arrived are dead letters now."""
        ...

    def send_again(self, keys: Collection[str], at: datetime) -> int:
        """Those of them that have not arrived are due now, as if never tried. Returns how many."""
        ...

    def message_sent(self, key: str, at: datetime) -> None: ...
    def message_failed(self, key: str, at: datetime, retry_at: datetime, error: str) -> None: ...

    def deliveries(self, beginning: str) -> Sequence[Delivery]:
        """What became of the messages whose keys begin so, by key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one message. sent_at None: it has not reached anybody yet."""

    key: str
    audience: str
    sent_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message in the outbox. audience: the role it is for; empty for everybody. severity: of the worst alert it tells of."""

    key: str
    title: str
    body: str
    tries: int
    audience: str
    severity: str = ""


class Notifier(Protocol):
    """Delivers one message to the addresses of a role, or to everybody. Raises NotYet when it could not."""

    def send(self, title: str, body: str, *, audience: str = "", severity: str = "") -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A server that is up. processes: the ids of those that answer now; a dead one is replaced by another."""

    address: str
    processes: Callable[[], Sequence[int]]


class Staging(Protocol):
    """Starts the real server with one candidate on loopback, outside all traffic, for the length of a block."""

    def open(self, version: Version, folder: Path) -> AbstractContextManager[Staged]: ...


class Sources(Protocol):
    """Where models lie that are no files beside the contract."""

    def download(self, address: str, target: Path) -> Path:
        """The model file behind the address, put into the folder `target` and not opened."""
        ...


class SuiteRunner(Protocol):
    """Runs people's own tests where they can do no harm. What they did is a fact; raises nothing of theirs."""

    def run(self, suite: Suite) -> SuiteRun: ...


class Trainer(Protocol):
    """Runs people's own training code where it can do no harm."""

    def train(self, asked: Training) -> Trained: ...


class Predictor(Protocol):
    """The serving path without its network: validates, runs and guards rows exactly as the endpoint does.

    Returns scores of shape (rows, classes) or (rows, 1) as nested lists; raises Rejected as the endpoint refuses.
    """

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[list[float]]: ...
