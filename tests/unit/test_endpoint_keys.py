"""Keys of the endpoint are made, kept as digests in the snapshot that workers follow, and ended there."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import loops
from builders.domain import NOON, version
from builders.keys import signer
from builders.people import principal
from modelmark.domain import errors
from modelmark.domain.audit import Act
from modelmark.domain.digest import Digest
from modelmark.domain.endpoint.keys import Scope, read_life, read_rate, read_scopes
from modelmark.domain.people import Role
from modelmark.domain.routes import Snapshot
from modelmark.domain.workspace import Workspace
from modelmark.governance.audit import Audit, verify_chain
from modelmark.governance.endpoint_keys import EndpointKeys
from modelmark.governance.people import People
from modelmark.governance.routes import Routes, champion_route
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.seal import keys
from modelmark.seal.digests import plain
from modelmark.seal.endpoint_secrets import digest_secret
from modelmark.seal.snapshot import write_snapshot
from modelmark.serving.entry.access import Need
from modelmark.serving.metrics import Metrics
from modelmark.serving.runtime import Runtime
from modelmark.testing.account_store import MemoryAccountStore
from modelmark.testing.ledger import MemoryLedger

DAY = timedelta(days=1)


class Office:
    """Keys over in-memory twins, with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON
        self.published: list[Snapshot] = []
        self.ledger = MemoryLedger()
        self.ledger.add_version(version())
        self.routes = Routes(self.ledger, self.clock)
        self.audit = Audit(self.ledger, self.clock, signer)
        self.people = People(MemoryAccountStore(), self.audit, self.clock)
        self.keys = EndpointKeys(
            routes=self.routes, audit=self.audit, clock=self.clock, people=self.people, publish=self.published.append,
            owner="ann",
        )  # fmt: skip

    def clock(self) -> datetime:
        return self.now

    def make(self, name: str = "shop", **how: Any) -> tuple[Any, str]:
        return self.keys.create(name, **{"scopes": ["predict"], "life": 30 * DAY, **how})


@pytest.fixture
def office() -> Office:
    return Office()


def test_the_secret_is_shown_once_and_a_digest_of_it_is_published(office: Office) -> None:
    made, secret = office.make(scopes=["predict", "label"], model="loans", rate=2.0)
    assert secret.startswith(f"mmk_{made.id}_")
    assert made.digest == digest_secret(secret.encode())
    (snapshot,) = office.published
    assert snapshot.keys == (made,)
    everything = json.dumps([plain(snapshot), *(plain(event) for event in office.ledger.events())])
    assert secret not in everything
    assert secret.rpartition("_")[2] not in everything
    assert (made.scopes, made.expires_at) == ((Scope.LABEL, Scope.PREDICT), NOON + 30 * DAY)


def test_a_release_keeps_keys_and_a_key_keeps_routes(office: Office) -> None:
    route = champion_route(version(), None)
    office.routes.next(route)
    office.make("shop")
    office.make("till")
    snapshot = office.routes.next(route)
    assert [key.name for key in snapshot.keys] == ["shop", "till"]
    office.keys.revoke("shop")
    last = office.published[-1]
    assert ([key.name for key in last.keys], last.routes, last.sequence) == (["till"], (route,), 5)


def test_each_act_is_audited_and_names_what_the_key_may(office: Office) -> None:
    made, _ = office.make(rate=2.0)
    office.keys.revoke(made.id)
    created, revoked = office.ledger.events()
    assert (created.act, created.actor, created.subject) == (Act.CREATED_ENDPOINT_KEY, "ann", made.id)
    assert created.details["scopes"] == [Scope.PREDICT] or created.details["scopes"] == (Scope.PREDICT,)
    assert (revoked.act, revoked.details["name"]) == (Act.REVOKED_ENDPOINT_KEY, "shop")
    assert verify_chain(office.ledger.events()) == 2


def test_a_name_is_taken_until_its_key_has_ended(office: Office) -> None:
    office.make()
    with pytest.raises(errors.Conflict) as caught:
        office.make()
    assert caught.value.code == "EXISTS"
    office.now += 31 * DAY
    office.make()
    assert len(office.keys.list()) == 1, "the expired one is gone"
    with pytest.raises(errors.Missing):
        office.keys.revoke("nobody")


def test_with_accounts_only_an_administrator_makes_keys(office: Office) -> None:
    root = principal(office.people, "root", "The First", Role.OPERATIONS)
    other = principal(office.people, "bob", "Bob Ray", Role.PRODUCT)
    for by in (None, other):
        with pytest.raises(errors.NotPermitted):
            office.make(by=by)
    made, _ = office.make(by=root)
    assert made.issued_by == "root"
    with pytest.raises(errors.NotPermitted):
        office.keys.revoke("shop", by=other)


@pytest.mark.parametrize(
    ("how", "kind", "code"),
    [
        ({"name": "A shop"}, errors.Rejected, "BAD_NAME"),
        ({"scopes": []}, errors.Rejected, "BAD_SCOPES"),
        ({"scopes": ["admin"]}, errors.Rejected, "BAD_SCOPES"),
        ({"model": "nobody's"}, errors.Missing, "NO_MODEL"),
    ],
)
def test_what_cannot_be_is_refused_with_its_code(
    office: Office, how: dict[str, Any], kind: type[errors.ModelmarkError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        office.make(**how)
    assert caught.value.code == code
    assert office.published == []


def test_what_people_write_is_read() -> None:
    assert read_scopes("label, predict") == (Scope.LABEL, Scope.PREDICT)
    assert (read_life("30d"), read_rate("90/m"), read_rate("100/s")) == (30 * DAY, 1.5, 100.0)
    for read, text, code in (
        (read_scopes, "predict,all", "BAD_SCOPES"),
        (read_life, "0d", "BAD_DAYS"),
        (read_life, "367d", "BAD_DAYS"),
        (read_life, "30", "BAD_DAYS"),
        (read_rate, "0/s", "BAD_RATE"),
        (read_rate, "100", "BAD_RATE"),
        (read_rate, "1/d", "BAD_RATE"),
    ):
        with pytest.raises(errors.Rejected) as caught:
            read(text)
        assert caught.value.code == code, text


def test_a_key_that_workers_have_not_heard_of_is_made_all_the_same(office: Office) -> None:
    def full(_: Snapshot) -> None:
        raise OSError("no space left")

    object.__setattr__(office.keys, "publish", full)
    with pytest.raises(errors.NotYet) as caught:
        office.make()
    assert caught.value.code == "NOT_PUBLISHED"
    assert [key.name for key in office.keys.list()] == ["shop"]


def test_a_worker_hears_of_keys_and_of_their_end_with_the_snapshot(office: Office, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    own = keys.signer(workspace.keys)
    object.__setattr__(office.keys, "publish", lambda snapshot: write_snapshot(workspace.snapshot, snapshot, own))

    async def work() -> None:
        with Writer(workspace.wal, sync=Sync.NEVER) as writer:
            runtime = Runtime(workspace, writer, Metrics(None), verifier=own.verifier, require_keys=True)
            office.now = datetime.now(UTC)
            made, secret = office.make()
            sent = (f"Bearer {secret}".encode(),)
            with pytest.raises(errors.NoKey):
                runtime.access.admit(sent, Need.PREDICT, "loans")
            await runtime.refresh()
            await asyncio.sleep(0)
            assert runtime.access.admit(sent, Need.PREDICT, "loans") == b"key " + made.id.encode()
            with pytest.raises(errors.NotYet, match="no release"):
                runtime.require_release()
            office.keys.revoke("shop")
            await runtime.refresh()
            await asyncio.sleep(0)
            with pytest.raises(errors.NoKey) as caught:
                runtime.access.admit(sent, Need.PREDICT, "loans")
            assert caught.value.code == "BAD_KEY"

    loops.run(work())


def test_a_snapshot_without_keys_is_written_as_it_always_was(office: Office) -> None:
    snapshot = office.routes.next(champion_route(version(), None))
    assert set(plain(snapshot)) == {"sequence", "issued_at", "routes"}
    assert Digest(snapshot.routes[0].champion.version) == version().id
