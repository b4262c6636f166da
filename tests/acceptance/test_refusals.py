"""What must not get through, and that Modelmark says why: by the real commands, with their exit codes."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import joblib
import pytest

from candidates import edit
from journey import NAME, Place, mixed, rows_of, silent, small
from modelmark import Client
from modelmark.domain.errors import ModelmarkError, NotPermitted
from modelmark.domain.evidence import Verdict


def flip(path: Path, place: int = -2) -> None:
    """Change one bit."""
    whole = bytearray(path.read_bytes())
    whole[place] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(whole))


@pytest.fixture(scope="module")
def failed(tmp_path_factory) -> Place:
    """A place whose v1 was checked and failed: the contract asks for more than the model can do."""
    place = small(tmp_path_factory.mktemp("failed"))
    place.draft((r"^  load: null", "  load: null\n  holdout: {minimum: 0.999}"))
    app = place.app()
    first = app.check(place.register(app), place.contract, progress=silent)
    assert first.status.gates["holdout"] is Verdict.FAIL
    return place


def test_nothing_is_released_while_a_line_for_people_is_empty(failed, tmp_path):
    place = failed.copy(tmp_path / "place")
    edit(place.contract, [(r"^  holdout: \{minimum.*\n", ""), (r"^purpose: .*", 'purpose: ""')])
    place.next_champion(place.app(), release=False)
    refused = place.run("release", code=1).err
    assert "only a person can fill purpose" in refused
    assert refused.count("\n") == 1
    assert place.json("release", code=1)["error"]["code"] == "NOT_RELEASABLE"
    assert not (place.workspace / "snapshot.dsse.json").exists()


def test_a_failed_gate_stands_whatever_is_tried(failed, tmp_path):
    place = failed.copy(tmp_path / "place")
    assert place.json("check", code=1)["gates"]["holdout"] == "fail", "a second run must not cure it"
    for words in (("approve", "v1", "--role", "product", "--name", "Bob Ray"), ("release", "v1")):
        assert "holdout" in place.run(*words, code=1).err
    assert place.run("status").out.count("✕holdout") == 1


def test_a_waiver_by_a_signer_lets_a_failed_gate_through_until_its_day(failed, tmp_path):
    place = failed.copy(tmp_path / "place")
    waive = ("waive", "v1", "--gate", "holdout", "--role", "product", "--reason", "a pilot of 50 users")
    assert "Bob Ray as product" in place.run(*waive, "--name", "Eve", "--expires", "3d", code=1).err
    assert "2027-01-31 or 30d" in place.run(*waive, "--name", "Bob Ray", "--expires", "soon", code=3).err
    assert "later than now" in place.run(*waive, "--name", "Bob Ray", "--expires", "2020-01-01", code=3).err
    place.run(*waive, "--name", "Bob Ray", "--expires", "3d")
    now = place.app()
    place.approve(now, now.find("v1"))
    late = place.app(clock=lambda: datetime.now(UTC) + timedelta(days=4))
    with pytest.raises(NotPermitted, match="the gate holdout says: fail"):
        late.release(late.find("v1"))
    place.run("release", "v1")
    assert place.json("verify")["verdict"] == "pass"


def test_a_changed_training_table_cannot_be_measured_on(released):
    with (released.folder / "train.csv").open("a") as table:
        table.write((released.folder / "train.csv").read_text().splitlines()[1] + "\n")
    done = released.run("check", code=2)
    assert "?" in done.out
    assert "train" in done.out


@pytest.mark.parametrize(
    ("role", "name"),
    [
        pytest.param("product", "Ann Lee", id="another's role"),
        pytest.param("risk", "Bob Ray", id="a role without a signature"),
        pytest.param("product", "bob ray", id="nearly the name"),
    ],
)
def test_only_the_people_of_the_contract_approve(released, role, name):
    refused = released.run("approve", "v1", "--role", role, "--name", name, code=1).err
    assert "Ann Lee as data_science" in refused
    assert "Bob Ray as product" in refused


def test_acts_that_make_no_sense_say_why(released):
    assert "v1 is champion already" in released.run("release", "v1", code=1).err
    assert "first release" in released.run("rollback", code=1).err
    assert "known: loans" in released.run("status", "--model", "lones", code=3).err
    assert "known: v1" in released.run("check", "v9", code=3).err
    waive = ("--gate", "lod", "--role", "product", "--name", "Bob Ray", "--reason", "why", "--expires", "3d")
    assert "[asked: calibration, data_contract" in released.run("waive", "v1", *waive, code=3).err


@pytest.fixture(scope="module")
def lived_in(template: Place, tmp_path_factory) -> Place:
    """A place that has served: its journal holds a sealed segment and Delta tables."""
    place = template.copy(tmp_path_factory.mktemp("lived"))
    rows = rows_of(mixed(), "y", 40)
    for compact in (True, False):
        with place.serving() as server, Client(server.address) as client:
            for row in rows:
                client.predict(NAME, [row])
        if compact:
            place.app().steward().step(datetime.now(UTC) + timedelta(hours=1))
    assert sealed(place)
    assert delta(place)
    assert place.json("verify")["verdict"] == "pass"
    return place


def sealed(place: Place) -> list[Path]:
    return sorted((place.workspace / "journal" / "wal").rglob("*.seg"))


def delta(place: Place) -> list[Path]:
    return sorted((place.workspace / "journal" / "tables" / "predictions").rglob("*.parquet"))


def folder(place: Place) -> Path:
    (found,) = (place.workspace / "versions").iterdir()
    return found


def sql(command: str) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        with sqlite3.connect(place.workspace / "state.db") as connection:
            assert connection.execute(command).rowcount == 1

    return change


RENAME_IN_EVIDENCE = "update evidence set body = replace(body, 'ROC AUC', 'ROC ACU') where gate = 'holdout'"
CUT_AUDIT = "delete from audit where sequence = (select max(sequence) from audit)"
RENAME_IN_AUDIT = "update audit set body = replace(body, 'Ann Lee', 'Eve Lee') where body like '%Ann Lee%'"

TAMPERINGS = [
    pytest.param(lambda p: flip(folder(p) / "model.onnx"), "files", "model.onnx", id="artifact"),
    pytest.param(lambda p: flip(folder(p) / "contract.json", 30), "files", "contract.json", id="contract"),
    pytest.param(lambda p: flip(folder(p) / "signature.json", 30), "files", "signature.json", id="preprocessing"),
    pytest.param(lambda p: flip(folder(p) / "lock.txt", 3), "files", "lock.txt", id="lock file"),
    pytest.param(lambda p: flip(folder(p) / "reference.json", 30), "files", "reference.json", id="reference"),
    pytest.param(lambda p: flip(folder(p) / "mark.dsse.json", 200), "files", "mark.dsse.json", id="mark"),
    pytest.param(lambda p: (folder(p) / "mark.dsse.json").unlink(), "files", "mark.dsse.json", id="mark removed"),
    pytest.param(sql(RENAME_IN_EVIDENCE), "rows", "evidence/", id="evidence"),
    pytest.param(sql(RENAME_IN_AUDIT), "audit", "approved", id="audit row"),
    pytest.param(sql("delete from audit where sequence = 3"), "audit", "event 3", id="audit row removed"),
    pytest.param(sql(CUT_AUDIT), "audit", "its signed head", id="audit cut"),
    pytest.param(lambda p: flip(p.workspace / "snapshot.dsse.json", 60), "snapshot", "", id="snapshot"),
    pytest.param(lambda p: flip(sealed(p)[-1], 300), "journal", "", id="journal segment"),
    pytest.param(lambda p: flip(delta(p)[0], 300), "journal", "predictions", id="Delta file"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "said"), TAMPERINGS)
def test_verify_names_what_was_tampered_with(lived_in, tmp_path, change, kind, said):
    place = lived_in.copy(tmp_path / "place")
    change(place)
    done = place.run("verify", code=1)
    bad = next(line for line in done.out.splitlines() if "The first bad item is" in line)
    assert f"The first bad item is {kind} " in bad, done.out
    assert said in bad, done.out


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(lambda p: flip(folder(p) / "model.onnx"), "model.onnx", id="artifact"),
        pytest.param(lambda p: flip(folder(p) / "contract.json", 30), "contract.json", id="contract"),
        pytest.param(lambda p: flip(folder(p) / "mark.dsse.json", 200), "the mark of version", id="mark"),
    ],
)
def test_a_worker_started_on_tampered_bytes_refuses_to_answer_and_says_why(released, change, why):
    change(released)
    with released.serving() as server, Client(server.address) as client:
        with pytest.raises(ModelmarkError):
            client.predict(NAME, rows_of(mixed(), "y", 1))
        assert why in server.text.lower(), server.text
        assert not client.ready()
        assert httpx2.get(f"{server.address}/v2/models/{NAME}/ready").status_code >= 400


def test_nothing_listens_where_the_release_cannot_be_believed(released):
    flip(released.workspace / "snapshot.dsse.json", 60)
    said = released.run("serve", "--port", "0", code=3)
    assert "the release snapshot is not as it was signed" in said.err, said.err
    assert "predictions on" not in said.out + said.err


class Hostile:
    """Touches a marker when somebody unpickles it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


class Writer(Hostile):
    def __reduce__(self):
        return open, (str(self.marker), "w")


@pytest.mark.parametrize("kind", [Hostile, Writer])
@pytest.mark.parametrize("command", ["init", "register"])
def test_a_hostile_pickle_does_nothing_and_is_refused_in_one_line(template, tmp_path, kind, command):
    for name in ("train.csv", "holdout.csv", "modelmark.yaml"):
        shutil.copy(template.folder / name, tmp_path)
    place, marker = Place(tmp_path), tmp_path / "marker"
    joblib.dump(kind(marker), tmp_path / "model.joblib")
    tables = ("model.joblib", "--train", "train.csv", "--holdout", "holdout.csv", "--target", "y", "--force")
    done = place.run(command, *(tables if command == "init" else ()), code=3)
    assert not marker.exists()
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.err
    assert errors[0] == done.err.splitlines()[-1]
    assert json.loads(place.run(command, *(tables if command == "init" else ()), "--json", code=3).out)["error"]["code"]
