"""What the command line and the pages call, over in-memory twins: no SQL, no files of ours, no MLflow."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from builders.domain import ANN, BOB, NOON, contract, digest, evidence, finding, version
from builders.keys import signer
from builders.people import no_effects, sign_off
from modelmark.app.effects import Announce
from modelmark.app.usecases.approve import Approve
from modelmark.app.usecases.describe_version import DescribeVersion
from modelmark.app.usecases.fetch import Fetch
from modelmark.app.usecases.model_card import ModelCard
from modelmark.app.usecases.open_case import earlier_looks
from modelmark.app.usecases.read_contract import ReadContract
from modelmark.app.usecases.release import Release
from modelmark.app.usecases.release_notes import ReleaseNotes
from modelmark.app.usecases.rollback import Rollback
from modelmark.app.usecases.scorecards import Scorecards
from modelmark.app.usecases.waive import Waive
from modelmark.cli.govern import _signers
from modelmark.domain.errors import Missing, NotPermitted, Rejected, Tampered
from modelmark.domain.finding import Window
from modelmark.domain.people import Role
from modelmark.domain.release import WaiverRequest
from modelmark.domain.version import ARTIFACT, CONTRACT, DESCRIPTION, MARK, Version
from modelmark.governance.audit import Audit
from modelmark.governance.releases import Releases
from modelmark.governance.signatures import signatures
from modelmark.seal.digests import canonical, digest_bytes, digest_value
from modelmark.testing.artifacts import MemoryArtifactStore
from modelmark.testing.ledger import MemoryLedger
from modelmark.testing.monitoring_store import MemoryMonitoringStore

AGREED = contract()


def made(number: int) -> Version:
    """A version whose contract is what its id says."""
    parts = dataclasses.replace(version(str(number)).components, contract=digest_bytes(canonical(AGREED)))
    return version(str(number), number=number, id=digest_value(parts), components=parts)


ONE, TWO = made(1), made(2)


class Twins:
    """Every port in memory, and the use cases over them."""

    def __init__(self, folder: Path, *known: Version) -> None:
        self.ledger, self.artifacts, self.monitoring_store = (
            MemoryLedger(),
            MemoryArtifactStore(),
            MemoryMonitoringStore(),
        )
        self.reports: list[Version] = []
        self.behind: list[int] = []  # how many acts there were each time
        self.caught_up: list[int] = []  # how many acts there were each time
        self.contract_of = ReadContract(artifacts=self.artifacts)
        clock = lambda: NOON  # noqa: E731
        self.releases = Releases(
            self.ledger, Audit(self.ledger, clock, signer), clock, contract_of=self.contract_of, required=lambda _: ["holdout"],
            effects=no_effects(),
            sign_off=sign_off(self.ledger, clock),
        )  # fmt: skip
        self.describe = DescribeVersion(ledger=self.ledger, artifacts=self.artifacts, contract_of=self.contract_of)
        self.notes = ReleaseNotes(releases=self.releases, describe=self.describe)
        announce = Announce(monitoring_store=self.monitoring_store, clock=clock)
        self.release = Release(
            releases=self.releases, notes=self.notes, announce=announce,
            behind=self._behind, catch_up=self._catch_up, owner="ann",
        )  # fmt: skip
        self.rollback = Rollback(
            releases=self.releases, announce=announce, behind=self._behind, catch_up=self._catch_up, owner="ann"
        )
        self.waive = Waive(releases=self.releases, report=self._report, owner="ann")
        sign: Any = lambda status: signatures(status, self.artifacts, lambda: None)  # noqa: E731
        self.card = ModelCard(status=self.releases.status, describe=self.describe, signatures=sign, clock=clock)
        self.scorecards = Scorecards(
            ledger=self.ledger, monitoring_store=self.monitoring_store, status=self.releases.status, describe=self.describe,
            signatures=sign, clock=clock,
        )  # fmt: skip
        for one in known:
            self.ready(folder / one.label, one)

    def _report(self, status: Any) -> Path:
        self.reports.append(status.version)
        return Path("report.html")

    def _behind(self) -> None:
        self.behind.append(len(self.ledger.events()))

    def _catch_up(self) -> None:
        self.caught_up.append(len(self.ledger.events()))

    def ready(self, folder: Path, one: Version, measured: float = 0.9) -> None:
        self.put(folder, one)
        self.releases.register(one, actor="ci")
        self.releases.record(one, [evidence(one.id, measured=measured)], actor="ci")
        for person in (ANN, BOB) if measured > 0.8 else ():
            self.releases.approve(one, role=person.role, name=person.name, comment="", actor="ci")

    def put(self, folder: Path, one: Version) -> None:
        folder.mkdir()
        for name, data in {ARTIFACT: b"graph", CONTRACT: canonical(AGREED), DESCRIPTION: canonical(one)}.items():
            (folder / name).write_bytes(data)
        self.artifacts.add(one.id, folder)


def test_one_act_signs_for_several_and_for_nobody_where_one_of_them_may_not(tmp_path: Path) -> None:
    twins = Twins(tmp_path)
    twins.put(tmp_path / "one", ONE)
    twins.releases.register(ONE, actor="ci")
    twins.releases.record(ONE, [evidence(ONE.id)], actor="ci")
    approve = Approve(releases=twins.releases, owner="ann")
    with pytest.raises(NotPermitted, match="no signer 'Cy Fox'"):
        approve(ONE, [(ANN.role, ANN.name), (Role.RISK, "Cy Fox")])
    assert twins.ledger.approvals(ONE.id) == []
    status = approve(ONE, [(person.role, person.name) for person in (ANN, BOB)], comment="read")
    assert not status.missing
    assert [(said.name, said.comment) for said in twins.ledger.approvals(ONE.id)] == [
        (ANN.name, "read"),
        (BOB.name, "read"),
    ]


@pytest.mark.parametrize("names", [["Ann Lee"], ["Ann Lee", "Bob Ray", "Cy Fox"], []])
def test_roles_and_names_come_in_pairs(names: list[str]) -> None:
    with pytest.raises(Rejected) as caught:
        _signers(None, [Role.DATA_SCIENCE, Role.PRODUCT], names)
    assert (caught.value.code, caught.value.field) == ("NO_NAME", "--name")


def test_one_account_speaks_in_each_of_its_roles() -> None:
    by: Any = SimpleNamespace(name="Ann Lee")
    assert _signers(by, [Role.RISK, Role.PRODUCT], []) == [(Role.RISK, "Ann Lee"), (Role.PRODUCT, "Ann Lee")]


def test_a_release_tells_every_role_and_stands_in_the_owners_name(tmp_path: Path) -> None:
    twins = Twins(tmp_path, ONE)
    snapshot = twins.release(ONE)
    assert twins.ledger.events()[-1].actor == "ann"
    told = twins.monitoring_store.due_messages(NOON)
    assert {message.key for message in told} == {f"released-{snapshot.sequence}-{role}" for role in Role}
    assert {message.title for message in told} == {"loans v1 was released"}
    assert all(message.body.startswith("# loans v1 for ") for message in told), told[0].body[:80]
    assert twins.behind == [len(twins.ledger.events())], "after the act"
    assert twins.caught_up == [len(twins.ledger.events()) - 1], "before the act"
    with pytest.raises(NotPermitted, match="champion already"):
        twins.release(ONE)
    assert len(twins.caught_up) == 2, "also where it is refused"
    assert len(twins.behind) == 1, "not where it is refused"


def test_a_release_over_a_version_whose_files_are_gone_says_so_and_goes_on(tmp_path: Path) -> None:
    twins = Twins(tmp_path, ONE)
    twins.release(ONE)
    twins.ready(tmp_path / "two", TWO)
    for person in (ANN, BOB):
        twins.releases.approve(TWO, role=person.role, name=person.name, comment="", actor="ci")
    (tmp_path / "nothing").mkdir()
    twins.artifacts.add(ONE.id, tmp_path / "nothing")
    snapshot = twins.release(TWO)
    said = [
        m.body for m in twins.monitoring_store.due_messages(NOON) if m.key.startswith(f"released-{snapshot.sequence}-")
    ]
    assert set(said) == {"What has changed cannot be told: the model of loans v1 is not in this workspace."}


def test_a_rollback_is_told_and_a_waiver_renews_the_report(tmp_path: Path) -> None:
    twins = Twins(tmp_path, ONE)
    twins.release(ONE)
    twins.ready(tmp_path / "two", TWO, measured=0.1)
    twins.waive(
        TWO, WaiverRequest(gate="holdout", reason="pilot", expires_at=NOON.replace(year=NOON.year + 1)), role=BOB.role,
        name=BOB.name,
    )  # fmt: skip
    assert twins.reports == [TWO]
    for person in (ANN, BOB):
        twins.releases.approve(TWO, role=person.role, name=person.name, comment="", actor="ci")
    twins.release(TWO)
    left, back, snapshot = twins.rollback("loans", reason="complaints")
    assert (left, back) == (TWO, ONE)
    keys = {m.key: m.body for m in twins.monitoring_store.due_messages(NOON) if m.key.startswith("rolled-back-")}
    assert keys == {f"rolled-back-{snapshot.sequence}-{role}": "complaints" for role in Role}
    assert len(twins.behind) == 3


def test_a_contract_is_read_from_the_versions_own_bytes_or_not_at_all(tmp_path: Path) -> None:
    twins = Twins(tmp_path, ONE)
    assert twins.contract_of(ONE) == AGREED
    with pytest.raises(Missing) as gone:
        twins.contract_of(TWO)
    assert (gone.value.code, gone.value.hint) == ("NO_FILES", "modelmark fetch v2 --model loans")
    twins.artifacts.write(ONE.id, CONTRACT, canonical(dataclasses.replace(AGREED, purpose="other")))
    with pytest.raises(Tampered) as changed:
        twins.contract_of(ONE)
    assert changed.value.code == "CONTRACT_CHANGED"


def test_what_people_read_is_made_without_a_workspace(tmp_path: Path) -> None:
    twins = Twins(tmp_path, ONE)
    assert twins.describe(ONE).size == len(b"graph")
    assert twins.notes(ONE, Role.RISK).startswith("# loans v1 for risk")
    assert twins.card(ONE).version == ONE
    twelve, tests = twins.scorecards(ONE)
    assert len([tile for section in twelve.sections for tile in section.tiles]) > 12
    assert tests.minimum >= 0


def test_a_score_knows_what_was_seen_of_its_version_however_much_was_seen_of_others(tmp_path: Path) -> None:
    twins = Twins(tmp_path, ONE)
    seen = finding(monitor="drift", subject="age", version=ONE.id, sentence="age moved.")
    later = [Window(start=NOON + timedelta(hours=h), end=NOON + timedelta(hours=h + 1)) for h in range(1, 2101)]
    twins.monitoring_store.add_findings([seen, *(finding(version=made(2).id, window=window) for window in later)])
    cards = twins.scorecards(ONE)
    said = " ".join(str(tile) for card in cards for section in card.sections for tile in section.tiles)
    assert "age moved." in said


def test_files_that_come_back_leave_a_mark_that_mlflow_never_got(tmp_path: Path) -> None:
    twins = Twins(tmp_path, ONE)

    class Keeps:
        def fetch(self, one: Version, target: Path) -> None:
            (target / ARTIFACT).write_bytes(b"graph")
            (target / DESCRIPTION).write_bytes(canonical(one))

    tracking: Any = Keeps()
    fetch = Fetch(artifacts=twins.artifacts, tracking=tracking)
    twins.artifacts.write(ONE.id, MARK, b"signed")
    twins.artifacts.write(ONE.id, ARTIFACT, b"damaged")
    fetch(ONE)
    assert (twins.artifacts.read(ONE.id, ARTIFACT), twins.artifacts.read(ONE.id, MARK)) == (b"graph", b"signed")
    fetch(TWO)
    assert twins.artifacts.read(TWO.id, ARTIFACT) == b"graph"


def test_looks_are_counted_by_the_holdouts_digest_whatever_the_model_is_called() -> None:
    """Those that came before: what is judged later does not make an earlier look a later one."""
    here, there = version("one"), version("two", model="renamed")
    same, other = version("three"), version("four", lineage=replace(here.lineage, holdout_digest=digest("else")))
    told = {v.id: [replace(evidence(v.id, minutes=at), looked_at={"holdout": v.lineage.holdout_digest})]
            for v, at in ((there, 1), (same, 3), (other, 2))}  # fmt: skip
    versions = [here, there, same, other]
    assert earlier_looks(here, versions, lambda id: told.get(id, [])) == 2
    told[here.id] = [replace(evidence(here.id, minutes=2), looked_at={"holdout": here.lineage.holdout_digest})]
    assert earlier_looks(here, versions, lambda id: told.get(id, [])) == 1
    assert earlier_looks(same, versions, lambda id: told.get(id, [])) == 2
    assert earlier_looks(other, versions, lambda id: told.get(id, [])) == 0
