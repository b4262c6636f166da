"""What is said of an entity at a moment becomes the label of its last prediction before that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from builders.domain import NOON
from builders.journal import AT, journal, predicted
from builders.steward import DEAL, steward, traffic, watched
from modelmark.domain.classes import parse_label
from modelmark.domain.errors import Malformed
from modelmark.domain.finding import Outcome
from modelmark.domain.workspace import Workspace
from modelmark.feedback.labels import import_labels
from modelmark.journal.tables.compact import compact
from modelmark.journal.tables.observed_rows import Matched, match
from modelmark.journal.tables.query import labelled
from modelmark.journal.wal.records import Observed
from modelmark.journal.wal.writer import Writer

MINUTE = timedelta(minutes=1)


def said(entity: str, minute: float, label: Any = 1, *, told: float | None = None) -> Observed:
    """minute: when it became true; told: when it was said."""
    event = AT + int(minute * 60e9)
    return Observed("loans", entity, event, event if told is None else AT + int(told * 60e9), label, "crm")


def asked(id: str, entity: str, minute: float, **how: Any) -> Any:
    return predicted(id * 32, entity=entity, at=AT + int(minute * 60e9), **how)


def matched(space: Workspace, key: str | None = None) -> Matched:
    return match(space, "loans", NOON + 3 * 60 * MINUTE, key=key, parse=lambda text: parse_label(DEAL, text))


def about(labels: Sequence[Any]) -> list[tuple[str, int, Any]]:
    return [(label.prediction[0], label.row, label.label) for label in labels]


def test_the_last_prediction_before_is_meant_and_never_a_later_one(tmp_path: Path) -> None:
    space = journal(
        tmp_path, asked("a", "ann", 0), asked("b", "ann", 10), asked("c", "bob", 10), asked("d", "ann", 30),
        said("ann", 5, 1), said("ann", 20, 0), said("bob", 9), said("cy", 9), said("ann", 30, 1),
    )  # fmt: skip
    compact(space)
    found = matched(space)
    assert about(found.labels) == [("a", 0, 1), ("b", 0, 0), ("d", 0, 1)]
    assert (found.waiting, found.astray, found.several) == (2, 2, 0), "bob was asked about later, cy never"
    label = found.labels[1]
    assert (label.at, label.event, label.source) == (AT + 20 * 60 * 10**9, AT + 20 * 60 * 10**9, "crm")


def test_an_entity_may_be_an_input_and_several_rows_of_one_are_nobodys(tmp_path: Path) -> None:
    space = journal(
        tmp_path, asked("a", "", 0, jobs=("x",)), asked("b", "", 1, ages=(1.0, 2.0), jobs=("y", "z")),
        asked("c", "", 2, ages=(1.0, 2.0), jobs=("w", "w")), said("x", 5), said("z", 5, 0), said("w", 5),
    )  # fmt: skip
    compact(space)
    found = matched(space, "cat_job")
    assert about(found.labels) == [("a", 0, 1), ("b", 1, 0)]
    assert (found.waiting, found.several) == (0, 1)
    assert matched(space).labels == [], "where the contract names no entity key, only requests name entities"


def test_the_steward_tells_labels_once_and_the_metrics_see_them(tmp_path: Path) -> None:
    many = traffic(300)
    journal(
        tmp_path,
        *(
            predicted(f"{i:032x}", ages=(age,), jobs=(job,), score=s, entity=f"e{i}", at=AT)
            for i, (age, job, s) in enumerate(many)
        ),
        *(said(f"e{i}", 0.2, int(s <= 0.5)) for i, (_, _, s) in enumerate(many)),
        said("nobody", 0.2),
    )
    keeper = steward(tmp_path, serving=[watched()])
    keeper.step(NOON + MINUTE)
    found = {f.monitor: f for f in keeper.step(NOON + 2 * MINUTE).findings}
    assert (found["performance"].outcome, found["performance"].n) == (Outcome.ALERT, 300)
    for minute in (3, 4, 65, 66):
        step = keeper.step(NOON + minute * MINUTE)
    told = labelled(Workspace(tmp_path), "loans", NOON - MINUTE, NOON + 9 * MINUTE).to_pylist()
    assert len(told) == 300
    assert {row["label_source"] for row in told} == {"crm"}
    (astray,) = [f for f in step.findings if f.subject == "labels by entity"]
    assert "1 labels of loans name an entity of which no prediction is known" in astray.sentence


def test_what_was_said_before_its_prediction_came_waits_for_it(tmp_path: Path) -> None:
    keeper = steward(tmp_path, serving=[watched()])
    journal(tmp_path, said("ann", 10, told=0))
    keeper.step(NOON + MINUTE)
    assert keeper.step(NOON + 2 * MINUTE).errors == []
    late = asked("a", "ann", 1, event=(AT + 5 * 60 * 10**9).to_bytes(8, "little"))
    journal(tmp_path, late)
    for minute in (3, 4, 5):
        keeper.step(NOON + minute * MINUTE)
    (row,) = labelled(Workspace(tmp_path), "loans", NOON, NOON + 60 * MINUTE).to_pylist()
    assert (row["id"], row["label"]) == ("a" * 32, "1")


def test_a_file_may_name_entities(tmp_path: Path) -> None:
    path = tmp_path / "crm.csv"
    path.write_text(
        "entity,at,label\nann,2026-01-02T10:00:00Z,1\n,2026-01-02T10:00:00Z,1\nbob,2099-01-02,1\ncy,2026-01-02T10:00:00Z,7\n"
    )
    space = Workspace(tmp_path / "w")
    with Writer(space.wal) as writer:
        found = import_labels(path, "loans", DEAL, space, writer, NOON)
    assert (found.by_entity, found.refused, found.accepted) == (1, 3, 0)
    assert [line.number for line in found.examples] == [3, 4, 5]
    compact(space)
    assert matched(space).waiting == 1
    (tmp_path / "bad.csv").write_text("entity,label\nann,1\n")
    with pytest.raises(Malformed), Writer(space.wal) as writer:
        import_labels(tmp_path / "bad.csv", "loans", DEAL, space, writer, NOON)


def test_records_of_it_are_read_again() -> None:
    from modelmark.journal.wal.records import Record

    one = said("ann", 1)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Record) == one
