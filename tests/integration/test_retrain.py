"""The world turns; a new model is trained on what production taught, proven on later rows, and made again bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from starlette.testclient import TestClient

from child_here import sandbox_here
from journey import NAME, Place, mixed, silent, small
from modelmark.app.retrained import FACTS, TRAIN, Facts, code_digest
from modelmark.app.usecases.retraining.reproduce import Likeness
from modelmark.domain.errors import Conflict, NotPermitted, Rejected, Tampered
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import compact
from modelmark.retraining.proof import Outcome

FIT = """
import sys
sys.path.insert(0, {tests!r})
from journey import logistic, pipeline

def train(table, seed):
    return pipeline(table, "y", logistic({strength}))
"""
ENTRY = 'entry: "fit.py:train", new_labels: 400, strategy: window, window_days: 1'
PLAN = (r"^retraining: .*", f"retraining: {{owner: data_science, {ENTRY}}}")
UNASKED = (
    r"^  replay: null",
    "  replay: null\n  slices: null\n  leakage: null\n  edge_cases: null\n  supply_chain: null\n  calibration: null",
)


def code(folder: Path, strength: float = 1.0) -> None:
    (folder / "fit.py").write_text(FIT.format(tests=str(Path(__file__).parents[1]), strength=strength))


def live(place: Place, app: Any, table: pd.DataFrame) -> None:
    """Answered by what serves, a hundred rows a request, and told later what was true."""
    for n, start in enumerate(range(0, len(table), 100)):
        part = table[start : start + 100]
        asked, answers, told = (place.folder / name for name in (f"live{n}.csv", f"answers{n}.csv", f"labels{n}.csv"))
        part.drop(columns="y").to_csv(asked, index=False)
        app.predict(NAME, asked, answers, again=True, progress=silent)
        found = pd.read_csv(answers)[["prediction_id", "prediction_row"]]
        found.assign(label=part["y"].to_numpy()).to_csv(told, index=False)
        assert app.label(NAME, told).accepted == len(part)
        for file in (asked, answers, told):
            file.unlink()
    compact(Workspace(place.workspace), witness=app.witness)


def turned(rows: int, seed: int) -> pd.DataFrame:
    """What was yes is no."""
    table = mixed(rows, seed)
    return table.assign(y=table["y"].map({"yes": "no", "no": "yes"}))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    found = small(tmp_path_factory.mktemp("turned"))
    code(found.folder)
    agreed = f"unattended: true, code: '{code_digest(found.folder)}'"
    found.champion((PLAN[0], PLAN[1].replace("}", f", {agreed}}}")), UNASKED)
    live(found, found.app(), turned(600, 7))
    return found


@pytest.fixture(scope="module")
def retrained(place: Place) -> Any:
    app = place.app()
    with sandbox_here():
        return app.retrain(place.contract, why="the world turned", progress=silent)


def test_the_challenger_is_surely_better_on_later_rows(place: Place, retrained: Any) -> None:
    assert retrained.proof.outcome is Outcome.BETTER, retrained.proof.sentence
    assert retrained.proof.gain[1] > 0.3
    facts = Facts.read(retrained.folder)
    assert facts == retrained.facts
    assert (facts.rows, facts.later_rows, facts.labelled) == (400, 200, 600)
    assert facts.version == retrained.version.id
    assert set(facts.tables) == {"labels", f"predictions/{NAME}"}
    assert facts.sources == {f"file:labels{n}.csv": 100 for n in range(4)}


def test_those_who_agreed_beforehand_have_approved(place: Place, retrained: Any) -> None:
    app = place.app()
    assert app.releases.champion(NAME).id == retrained.facts.after, "it is released by whoever releases"
    assert retrained.facts.consent.startswith("agreed beforehand: Ann Lee, Bob Ray; the contract plans no rollout")
    status = app.releases.status(retrained.version)
    assert status.obstacles == ()
    assert {(a.name, a.via, a.comment) for a in status.approvals} == {
        (name, "standing consent", "agreed beforehand, with v1") for name in ("Ann Lee", "Bob Ray")
    }
    told = [
        (e.act, e.details.get("outcome") or e.details.get("via"))
        for e in app.ledger.events()
        if e.subject == retrained.version.id
    ]
    assert told[-3:] == [("retrained", "better"), ("approved", "standing consent"), ("approved", "standing consent")]


def test_it_may_be_released_and_verified(place: Place, retrained: Any, tmp_path: Path) -> None:
    app = place.copy(tmp_path / "other").app()
    app.release(retrained.version)
    app.finish()
    assert app.releases.champion(NAME).id == retrained.version.id
    assert [item for item in app.verify() if item.fault] == []


def test_other_code_asks_people(place: Place, retrained: Any, tmp_path: Path) -> None:
    other = place.copy(tmp_path / "other")
    app = other.app()
    code(other.folder, strength=0.5)
    with pytest.raises(Rejected, match="other training code") as refused:
        app.retrain(other.contract, why="try", progress=silent)
    assert refused.value.code == "OTHER_CODE"
    text = other.contract.read_text()
    other.contract.write_text(text.replace(str(retrained.facts.code), str(refused.value.limit)))
    with sandbox_here():
        found = app.retrain(other.contract, why="try", progress=silent)
    assert found.proof.outcome is Outcome.BETTER
    assert "other code trained it than was agreed with v1" in found.facts.consent
    with pytest.raises(NotPermitted, match="has not approved"):
        app.release(found.version)


def test_its_page_says_how_it_came_about(place: Place, retrained: Any) -> None:
    client = TestClient(place.app().dashboard(), base_url="http://127.0.0.1:8081")
    page = client.get(f"/versions/{retrained.version.id.hex}").text
    assert "because the world turned. On the holdout above" in page
    assert f'href="/versions/{retrained.facts.after.hex}">the champion then</a>: better.' in page
    assert "<code>modelmark reproduce v2 --model loans</code>" in page
    assert "trained again" not in client.get(f"/versions/{retrained.facts.after.hex}").text


def test_it_is_made_again_bit_for_bit(place: Place, retrained: Any) -> None:
    app = place.app()
    again = app.reproduce(retrained.version, place.contract, progress=silent)
    assert again.likeness is Likeness.FILE
    first = app.releases.champion(NAME)
    assert app.reproduce(first, place.contract, progress=silent).train == first.lineage.train_digest


def test_other_code_makes_other_answers_and_says_so(place: Place, retrained: Any, tmp_path: Path) -> None:
    other = place.copy(tmp_path / "other")
    app = other.app()
    code(other.workspace / "retraining" / NAME / retrained.folder.name, strength=0.001)
    with sandbox_here():
        again = app.reproduce(retrained.version, other.contract, progress=silent)
    assert again.likeness is Likeness.OTHER
    assert again.rows == 200
    assert again.distance > 0.01


def test_a_frozen_table_that_was_changed_is_named(place: Place, retrained: Any, tmp_path: Path) -> None:
    other = place.copy(tmp_path / "other")
    folder = other.workspace / "retraining" / NAME / retrained.folder.name
    pd.read_parquet(folder / TRAIN).iloc[1:].to_parquet(folder / TRAIN, index=False)
    with pytest.raises(Tampered, match="not the table"):
        other.app().reproduce(retrained.version, other.contract, progress=silent)
    (other.folder / "train.csv").write_text("a,y\n1,yes\n")
    with pytest.raises(Conflict, match="not the table") as refused:
        app = other.app()
        app.reproduce(app.releases.champion(NAME), other.contract, progress=silent)
    assert refused.value.code == "OTHER_TABLE"


def test_what_fails_leaves_one_folder_and_no_version(place: Place, retrained: Any, tmp_path: Path) -> None:
    other = place.copy(tmp_path / "other")
    app = other.app()
    (other.folder / "fit.py").write_text("def train(table, seed):\n    raise RuntimeError('no disk')\n")
    text = other.contract.read_text()
    other.contract.write_text(text.replace(str(retrained.facts.code), code_digest(other.folder)))
    (other.workspace / "retraining" / NAME / "cut-short").mkdir()  # by a kill, before it wrote anything
    for _ in range(2):
        with pytest.raises(Rejected, match="RuntimeError: no disk"):
            app.retrain(other.contract, why="try", progress=silent)
    kept = [Facts.read(path.parent).version for path in (other.workspace / "retraining").glob(f"*/*/{FACTS}")]
    assert sorted(map(bool, kept)) == [False, True]
    assert [version.number for version in app.ledger.versions(NAME)] == [1, 2]


def test_a_model_that_is_no_better_is_kept_and_not_released(place: Place, tmp_path: Path) -> None:
    """What production says is what training said, so there is nothing to gain."""
    same = small(tmp_path / "same")
    code(same.folder)
    same.champion((PLAN[0], 'retraining: {entry: "fit.py:train"}'), UNASKED)
    app = same.app()
    live(same, app, mixed(400, 8))
    with sandbox_here():
        found = app.retrain(same.contract, why="try", progress=silent)
    assert found.proof.outcome in (Outcome.NOT_BETTER, Outcome.CANNOT_TELL), found.proof.sentence
    assert found.facts.rows == 450 + 200, "the training table, and what was labelled since"


def test_it_is_due_by_its_labels_once(place: Place, retrained: Any) -> None:
    app = place.app()
    (due,) = app.due_retraining(app.clock())
    assert due.why.startswith("600 rows were labelled since")
    assert due.contract == place.contract.resolve(), "where it was registered, not where it was trained again"
    app.due_retraining.begun(NAME, app.clock())
    assert list(app.due_retraining(app.clock())) == []


def test_it_takes_a_champion_and_code(tmp_path: Path) -> None:
    bare = small(tmp_path / "bare")
    bare.draft()
    app = bare.app()
    with pytest.raises(Rejected, match="names no code that trains"):
        app.retrain(bare.contract, why="try", progress=silent)
    code(bare.folder)
    bare.draft(PLAN)
    with pytest.raises(NotPermitted, match="no champion"):
        app.retrain(bare.contract, why="try", progress=silent)
