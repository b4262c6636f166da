"""The write-ahead log becomes Delta tables, exactly once, and what became of it can be checked."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from builders.domain import NOON
from builders.journal import AT, VERSION, journal, label, predicted, refused, schema
from builders.keys import KEY
from modelmark.domain.errors import NotYet, Tampered
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables import compact as module
from modelmark.journal.tables.compact import Compactor, compact
from modelmark.journal.tables.lock import only_committer
from modelmark.journal.tables.query import counts, find, known, labelled, predictions, refusals
from modelmark.journal.tables.receipts import OURS, Receipts
from modelmark.journal.tables.verification import verify_journal, verify_tables
from modelmark.journal.tables.witness import JournalHead, see
from modelmark.journal.wal.reader import sealed_segments
from modelmark.journal.wal.writer import Writer
from modelmark.seal.heads import check_receipt, sign_receipt

LATER = NOON + timedelta(hours=1)


def test_every_record_becomes_rows_and_its_segment_goes(tmp_path: Path) -> None:
    space = journal(
        tmp_path,
        predicted("p1", ages=(1.0, float("nan")), jobs=("a", None), flags=[(1, "job", "MISSING")], score=0.2),
        predicted("p2", score=0.5),
        predicted("p3", scores=b"", path="review"),
        label("p1", 1, row=1),
        refused(3),
    )
    done = compact(space)
    assert done.rows == {"predictions/loans": 4, "labels": 1, "refusals": 1}
    assert counts(space) == done.rows
    assert sealed_segments(space.wal) == []
    picked = predictions(space, "loans", NOON, LATER, columns=["row", "num_age"]).to_pylist()
    assert picked == [{"row": r, "num_age": n} for r, n in ((0, 1.0), (1, None), (0, 40.0), (0, 40.0))]
    rows = predictions(space, "loans", NOON, LATER).to_pylist()
    assert [(r["id"], r["row"], r["num_age"], r["cat_job"]) for r in rows] == [
        ("p1", 0, 1.0, "a"), ("p1", 1, None, None), ("p2", 0, 40.0, "a"), ("p3", 0, 40.0, "a"),
    ]  # fmt: skip
    assert [(r["score"], r["prediction"]) for r in rows[1:]] == [(0.2, "0"), (0.5, "1"), (None, None)]
    assert rows[1]["flags"] == ["MISSING:job"]
    assert rows[0]["version"] == VERSION
    assert rows[0]["at"] == NOON
    assert find(space, "p1")[1]["label"] == "1"
    assert refusals(space, "loans", NOON, LATER) == {("OUT_OF_RANGE", "age"): 3}
    assert known(space, "loans", ["p1", "p2", "nobody"]) == {"p1": 2, "p2": 1}


def test_tables_that_are_not_there_are_empty(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    assert compact(space).rows == {}
    assert predictions(space, "loans", NOON, LATER).num_rows == 0
    assert labelled(space, "loans", NOON, LATER).num_rows == 0
    assert (find(space, "x"), counts(space), refusals(space, "loans", NOON, LATER)) == ([], {}, {})
    assert list(verify_tables(space)) == []


def test_the_latest_label_wins_and_names_its_own_row(tmp_path: Path) -> None:
    space = journal(
        tmp_path,
        predicted("p1", ages=(1.0, 2.0), jobs=("a", "b")),
        label("p1", 0, at=AT + 2),
        label("p1", 1, at=AT + 1),
        label("p2", 1),
    )
    compact(space)
    (row,) = labelled(space, "loans", NOON, LATER, inputs=True).to_pylist()
    assert (row["id"], row["row"], row["label"], row["label_value"], row["num_age"]) == ("p1", 0, "0", 0.0, 1.0)


@pytest.mark.parametrize(
    ("said", "since"),
    [
        pytest.param([0, 0, 0], 0, id="sent again and again"),
        pytest.param([1, 0, 0], 1, id="changed, then sent again"),
        pytest.param([0, 1, 0], 2, id="changed and changed back"),
    ],
)
def test_a_label_that_is_sent_again_is_nothing_new(tmp_path: Path, said: list[int], since: int) -> None:
    minutes = [AT + n * 60_000_000_000 for n in range(3)]
    sent = [label("p1", value, at=at) for value, at in zip(said, minutes, strict=True)]
    space = journal(tmp_path, predicted("p1"), *sent)
    compact(space)
    (row,) = labelled(space, "loans", NOON, LATER).to_pylist()
    when = NOON + timedelta(minutes=since)
    assert (row["label"], row["labelled_at"]) == (str(said[-1]), when)
    assert labelled(space, "loans", when + timedelta(seconds=1), LATER).num_rows == 0
    assert find(space, "p1")[0]["labelled_at"] == when


@pytest.mark.parametrize("said", [[0, 1], [1, 0]])
def test_of_two_labels_at_one_time_none_counts_and_none_is_lost(tmp_path: Path, said: list[int]) -> None:
    space = journal(tmp_path, predicted("p1"), *(label("p1", value, at=AT) for value in said))
    compact(space)
    assert labelled(space, "loans", NOON, LATER).num_rows == 0
    found = find(space, "p1")[0]
    assert (found["label"], found["labelled_at"], found["conflicting"]) == (None, None, ["0", "1"])


def test_columns_of_several_versions_and_tasks_are_united(tmp_path: Path) -> None:
    space = journal(tmp_path, predicted("p1"))
    with Writer(space.wal) as writer:
        writer.declare(schema(version="v2", numeric=["age", "Hours/Week"], text=[]))
        writer.append(predicted("p2", ages=(1.0,), version="v2", numbers=b"\0" * 16, texts=[]))
    compact(space)
    with Writer(space.wal) as writer:
        writer.declare(schema(version="v3", numeric=[], text=[], task="regression", classes=[], positive=None))
        writer.append(predicted("p3", version="v3", numbers=b"", texts=[], scores=b"\0" * 8))
    compact(space)
    one, two, three = (find(space, id)[0] for id in ("p1", "p2", "p3"))
    assert (one["cat_job"], two["cat_job"], two["num_hours_week"], three["num_hours_week"]) == ("a", None, 0.0, None)
    assert (three["value"], three["score"], three["prediction"]) == (0.0, None, None)


def test_a_prediction_whose_schema_is_nowhere_is_kept_and_says_so(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    with Writer(space.wal) as writer:
        writer.append(predicted("p1", flags=[(0, "age", "MISSING")]))
    compact(space)
    assert find(space, "p1")[0]["flags"] == ["SCHEMA_MISSING:", "MISSING:age"]


@pytest.mark.parametrize("crash", ["before receipts", "before retirement", "between tables"])
def test_a_crash_doubles_nothing(tmp_path: Path, crash: str, monkeypatch: pytest.MonkeyPatch) -> None:
    space = journal(tmp_path, predicted("p1"), label("p1", 1), refused())

    class Killed(BaseException): ...

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if crash == "before receipts":
            patch.setattr(Receipts, "append", die)
        elif crash == "before retirement":
            patch.setattr(Path, "unlink", die)
        else:
            real, seen = module.commit, []
            patch.setattr(module, "commit", lambda *a: die() if seen else (seen.append(1), real(*a))[1])
        with pytest.raises(Killed):
            compact(space)
    compact(space)
    compact(space)
    assert counts(space) == {"predictions/loans": 1, "labels": 1, "refusals": 1}
    assert sealed_segments(space.wal) == []
    assert dict(verify_tables(space)) == counts(space)


def test_what_a_dead_writer_left_open_is_taken_too(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    writer = Writer(space.wal)
    writer.declare(schema())
    writer.append(predicted("p1"))
    assert compact(space).rows == {}  # it lives, and its segment is open
    writer.close()
    assert compact(space).rows == {"predictions/loans": 1}
    assert list(space.wal.iterdir()) == []


def test_a_damaged_segment_is_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    with Writer(space.wal) as writer:
        for i in range(3):
            writer.append(predicted(f"p{i}"))
            writer.seal()
    second = sealed_segments(space.wal)[1]
    data = bytearray(second.path.read_bytes())
    data[200] ^= 1
    second.path.write_bytes(data)
    done = compact(space)
    assert [error.field for error in done.damaged] == [f"{second.writer}/{second.path.name}"]
    assert counts(space) == {"predictions/loans": 2}
    assert (space.quarantine / second.writer / second.path.name).read_bytes() == data
    with pytest.raises(Tampered, match="set aside"):
        list(verify_tables(space))


def test_a_missing_segment_is_reported_and_the_next_is_kept(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    with Writer(space.wal) as writer:
        for i in range(2):
            writer.append(predicted(f"p{i}"))
            writer.seal()
    sealed_segments(space.wal)[0].path.unlink()
    done = compact(space)
    assert "is gone" in done.damaged[0].message
    assert counts(space) == {"predictions/loans": 1}


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_verification_names_what_was_changed(tmp_path: Path) -> None:
    space = journal(tmp_path, predicted("p1"), label("p1", 1))
    compact(space)
    assert list(verify_tables(space)) == [("labels", 1), ("predictions/loans", 1)]
    (file,) = (space.tables / "predictions/loans").glob("*.parquet")
    kept = file.read_bytes()
    _flip(file)
    with pytest.raises(Tampered, match=file.name):
        list(verify_tables(space))
    file.unlink()
    with pytest.raises(Tampered, match="missing"):
        list(verify_tables(space))
    file.write_bytes(kept)
    DeltaTable(str(space.tables / "labels")).delete()
    with pytest.raises(Tampered, match="not ours"):
        list(verify_tables(space))


class Notary:
    """A witness with a key of its own and its memory elsewhere."""

    def __init__(self) -> None:
        self.last: JournalHead | None = None

    def sign(self, link: bytes) -> str:
        return sign_receipt(KEY, link)

    def check(self, link: bytes, signature: str) -> None:
        check_receipt(KEY.verifier(), link, signature)

    def keep(self, head: JournalHead) -> None:
        self.last = JournalHead.of(head.plain())

    def kept(self) -> JournalHead | None:
        return self.last


def test_a_changed_receipt_is_named(tmp_path: Path) -> None:
    space = journal(tmp_path, predicted("p1"))
    compact(space)
    _flip(space.receipts)
    with pytest.raises(Tampered, match=r"receipt \d "):
        list(verify_tables(space))


def _verified(space: Workspace, notary: Notary) -> dict[str, int]:
    return dict(verify_journal(space, notary.last, notary.check))


@pytest.mark.parametrize("keep", [0, 1, -1])
def test_receipts_that_were_cut_are_missed_and_never_written_again(tmp_path: Path, keep: int) -> None:
    """Without the lines the tables would be checked against nothing, whatever their rows say now."""
    notary = Notary()
    space = journal(tmp_path, predicted("p1"))
    compact(space, notary)
    assert _verified(space, notary)["predictions/loans"] == 1
    lines = space.receipts.read_bytes().splitlines(keepends=True)
    space.receipts.write_bytes(b"".join(lines[:keep]))
    if not keep:
        space.receipts.unlink()
    code = "RECEIPTS_GONE" if not keep else "RECEIPTS_CUT"
    with pytest.raises(Tampered) as caught:
        _verified(space, notary)
    assert caught.value.code == code
    compactor = Compactor(space, witness=notary)
    for _ in range(2):  # the steward asks again and again
        with pytest.raises(Tampered) as caught:
            compactor.run()
        assert caught.value.code == code


def test_tables_without_a_head_are_believed_by_nobody(tmp_path: Path) -> None:
    space = journal(tmp_path, predicted("p1"))
    compact(space)
    with pytest.raises(Tampered) as caught:
        list(verify_journal(space, None, Notary().check))
    assert caught.value.code == "HEAD_GONE"
    space.receipts.unlink()
    with pytest.raises(Tampered) as caught:
        list(verify_journal(space, None, Notary().check))
    assert caught.value.code == "HEAD_GONE"


def test_a_head_that_was_kept_is_not_kept_again(tmp_path: Path) -> None:
    notary = Notary()
    space = journal(tmp_path, predicted("p1"))
    compactor = Compactor(space, witness=notary)
    compactor.run()
    first, notary.last = notary.last, None
    compactor.run()
    assert notary.last is None
    notary.last = first
    assert see(space, notary) == first


def test_receipts_recomputed_without_the_key_are_refused(tmp_path: Path) -> None:
    notary = Notary()
    space = journal(tmp_path, predicted("p1"))
    compact(space, notary)
    Receipts.of(space).append([{"kind": "damage", "what": "x", "why": "y", "kept": True}])
    with pytest.raises(Tampered) as caught:
        _verified(space, notary)
    assert caught.value.code == "RECEIPT_UNSIGNED"
    kept = [json.loads(line) for line in space.receipts.read_text().splitlines()]
    space.receipts.unlink()
    forged = Receipts(space.receipts)
    for line in kept:
        body = {name: value for name, value in line.items() if name not in ("link", "signature")}
        forged.append([{**body, "why": "nothing"} if body["kind"] == "damage" else body])
    with pytest.raises(Tampered) as caught:
        _verified(space, notary)
    assert caught.value.code == "RECEIPT_UNSIGNED"
    space.receipts.unlink()
    forged = Receipts(space.receipts)
    for line in kept[:-1]:
        body = {name: value for name, value in line.items() if name not in ("link", "signature")}
        forged.append([{**body, "removed": ["nothing"]} if body["kind"] == "append" else body])
    with pytest.raises(Tampered) as caught:
        _verified(space, notary)
    assert caught.value.code == "RECEIPTS_REWRITTEN"


def test_a_sealed_segment_that_was_seen_is_missed(tmp_path: Path) -> None:
    notary = Notary()
    space = journal(tmp_path, predicted("p1"))
    see(space, notary)
    (segment,) = sealed_segments(space.wal)
    kept = segment.path.read_bytes()
    segment.path.unlink()
    with pytest.raises(Tampered) as caught:
        _verified(space, notary)
    assert caught.value.code == "SEGMENT_GONE"
    segment.path.write_bytes(kept)
    compact(space, notary)
    assert _verified(space, notary)["predictions/loans"] == 1


def test_the_tables_logs_are_covered_too(tmp_path: Path) -> None:
    notary = Notary()
    space = journal(tmp_path, predicted("p1"))
    compact(space, notary)
    log = space.tables / "predictions/loans/_delta_log"
    (first,) = log.glob("*.json")
    whole = first.read_bytes()
    first.write_bytes(whole.replace(b'"numRecords\\":1', b'"numRecords\\":7'))
    assert first.read_bytes() != whole
    with pytest.raises(Tampered, match="its log was changed"):
        _verified(space, notary)
    first.write_bytes(whole)
    (log / f"{0:020d}.checkpoint.parquet").write_bytes(b"PAR1")
    with pytest.raises(Tampered, match="has no receipt"):
        _verified(space, notary)


def test_a_commit_that_was_not_intended_is_not_ours(tmp_path: Path) -> None:
    """It may carry our name in its facts, as ours do: those are no secret."""
    notary = Notary()
    space = journal(tmp_path, predicted("p1"))
    compact(space, notary)
    table = DeltaTable(str(space.tables / "predictions/loans"))
    write_deltalake(
        table, table.to_pyarrow_table(), mode="overwrite",
        commit_properties=CommitProperties(custom_metadata={OURS: json.dumps({"kind": "optimize"})}),
    )  # fmt: skip
    with pytest.raises(Tampered, match="not ours"):
        _verified(space, notary)
    assert [error.code for error in compact(space, notary).damaged] == ["FOREIGN_COMMIT", "FOREIGN_COMMIT"]


def test_small_files_become_few_with_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL_FILES", 4)
    monkeypatch.setattr(module, "CHECKPOINT_EVERY", 5)
    monkeypatch.setattr(module, "KEEP_HOURS", 0)
    space = Workspace(tmp_path)
    compactor = Compactor(space)
    with Writer(space.wal) as writer:
        writer.declare(schema())
        for i in range(6):
            writer.append(predicted(f"p{i}"))
            writer.seal()
            while not sealed_segments(space.wal):
                pass
            compactor.run()
    assert compactor.maintain() == ()
    table = space.tables / "predictions/loans"
    assert len(list(table.glob("*.parquet"))) == 1
    assert list((table / "_delta_log").glob("*.checkpoint.parquet"))
    assert dict(verify_tables(space)) == {"predictions/loans": 6}
    assert compactor.run().rows == {}
    assert sorted(predictions(space, "loans", NOON, LATER)["id"].to_pylist()) == [f"p{i}" for i in range(6)]


def test_a_large_file_is_left_alone_while_few_are_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each minute's few small files used to be written again together with all of the last 64 MB."""
    monkeypatch.setattr(module, "SMALL_FILES", 3)
    monkeypatch.setattr(module, "KEEP_HOURS", 0)
    monkeypatch.setattr(module, "MERGED", (30_000, 10**9))
    space, table = Workspace(tmp_path), tmp_path / "journal" / "tables" / "labels"
    compactor = Compactor(space)

    def passed(count: int) -> None:
        with Writer(space.wal) as writer:
            writer.append_many([label(os.urandom(32).hex(), n) for n in range(count)])
        compactor.run()

    passed(1500)
    (large,) = table.glob("*.parquet")
    for _ in range(3):
        passed(2)
    assert compactor.maintain() == ()
    assert large.exists()
    assert len(list(table.glob("*.parquet"))) == 2
    for _ in range(2):  # so many large ones are merged in their turn
        passed(1500)
    assert compactor.maintain() == ()
    assert len(list(table.glob("*.parquet"))) == 1
    assert dict(verify_tables(space)) == {"labels": 3 * 1500 + 6}


def test_a_changed_file_is_not_rewritten_into_a_clean_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL_FILES", 1)
    space = journal(tmp_path, predicted("p1"))
    compact(space)
    _flip(next((space.tables / "predictions/loans").glob("*.parquet")))
    assert "changed" in Compactor(space).maintain()[0].message


def test_one_process_compacts_at_a_time(tmp_path: Path) -> None:
    space = journal(tmp_path, predicted("p1"))
    with only_committer(space), pytest.raises(NotYet):
        compact(space)
