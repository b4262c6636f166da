"""A power cut takes what was not synced: each writer syncs a file before its name counts, and its folder after."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.journal import journal, predicted, schema
from builders.keys import KEY
from builders.order import recorded
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables import compact as compaction
from modelmark.journal.tables.compact import Compactor, compact
from modelmark.journal.tables.verification import verify_tables
from modelmark.journal.wal.reader import sealed_segments
from modelmark.journal.wal.recovery import recover
from modelmark.journal.wal.writer import OPEN, Sync, Writer
from modelmark.seal import keys
from modelmark.seal.snapshot import write_snapshot
from modelmark.storage.exports import write_into

FIRST = f"{0:012d}"


def test_a_new_writer_s_folder_and_its_first_segment_have_names_before_anything_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Workspace(tmp_path)
    with recorded(tmp_path, monkeypatch) as order, Writer(space.wal, sync=Sync.ALWAYS) as writer:
        order.holds(("rename", writer.id), ("sync", "journal/wal"))
        writer.append(predicted("p1"))
        order.holds(("sync", "journal/wal"), ("sync", writer.id), ("sync", f"{FIRST}.open"))


def test_a_segment_is_on_disk_before_it_is_called_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Workspace(tmp_path)
    with recorded(tmp_path, monkeypatch) as order:
        with Writer(space.wal, sync=Sync.ALWAYS) as writer:
            writer.append(predicted("p1"))
            before = len(order.did)
        order.did = order.did[before:]
        order.holds(("sync", f"{FIRST}.open"), ("rename", f"{FIRST}.seg"), ("sync", writer.id))


def test_an_interval_is_kept_by_a_sync_of_the_open_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Workspace(tmp_path)
    with recorded(tmp_path, monkeypatch) as order, Writer(space.wal, sync=Sync.INTERVAL, sync_ms=5) as writer:
        writer.append(predicted("p1"))
        while not order.where("sync", f"{FIRST}.open"):
            pass
        assert not order.where("rename", f"{FIRST}.seg")


def test_a_dead_writer_s_segment_is_on_disk_before_it_is_called_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = journal(tmp_path, predicted("p1"))
    (segment,) = sealed_segments(space.wal)
    torn = segment.path.with_suffix(OPEN)
    segment.path.rename(torn)
    torn.write_bytes(torn.read_bytes()[:-3])
    with recorded(tmp_path, monkeypatch) as order:
        assert recover(torn.parent) is not None
    order.holds(("sync", f"{FIRST}.open"), ("rename", f"{FIRST}.seg"), ("sync", segment.writer))


def test_rows_and_receipts_are_on_disk_before_their_segment_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = journal(tmp_path, predicted("p1"))
    with recorded(tmp_path, monkeypatch) as order:
        compact(space)
    order.holds(("sync", "receipts.jsonl"), ("sync", ".parquet"), ("sync", "receipts.jsonl"), ("remove", ".seg"))
    parquet = order.where("sync", ".parquet")[0]
    first_receipt_after = next(n for n in order.where("sync", "receipts.jsonl") if n > parquet)
    for what in (f"_delta_log/{0:020d}.json", "loans/_delta_log", "predictions/loans", "tables/predictions"):
        assert min(order.where("sync", what)) < first_receipt_after, what
    assert order.where("sync", "journal")  # the new file's own folder
    (gone,) = order.where("remove", ".seg")
    assert max(order.where("sync", "receipts.jsonl")) < gone


def test_a_checkpoint_of_delta_is_on_disk_before_its_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "CHECKPOINT_EVERY", 1)
    space = Workspace(tmp_path)
    compactor = Compactor(space)
    for name in ("p1", "p2"):
        with Writer(space.wal) as writer:
            writer.declare(schema())
            writer.append(predicted(name))
        compactor.run()
    with recorded(tmp_path, monkeypatch) as order:
        assert compactor.maintain() == ()
    order.holds(
        ("sync", "checkpoint.parquet"), ("sync", "_last_checkpoint"), ("sync", "_delta_log"), ("sync", "receipts.jsonl")
    )
    assert dict(verify_tables(space)) == {"predictions/loans": 2}


def test_what_is_set_aside_has_its_receipt_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = journal(tmp_path, predicted("p1"))
    (segment,) = sealed_segments(space.wal)
    data = segment.path.read_bytes()
    segment.path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    with recorded(tmp_path, monkeypatch) as order:
        compact(space)
    order.holds(("sync", "receipts.jsonl"), ("rename", f"quarantine/{segment.writer}/{FIRST}.seg"))
    order.holds(
        ("rename", f"quarantine/{segment.writer}/{FIRST}.seg"),
        ("sync", f"quarantine/{segment.writer}"),
        ("sync", f"wal/{segment.writer}"),
    )


def test_a_key_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded(tmp_path, monkeypatch) as order:
        keys.signer(tmp_path / "keys")
    scratch = [path for what, path in order.did if what == "sync" and "/.new-" in path]
    assert len(scratch) == 2
    order.holds(
        ("sync", scratch[0]),
        ("link", "mark.key"),
        ("sync", "keys"),
        ("sync", scratch[1]),
        ("rename", "mark.pub"),
        ("sync", "keys"),
    )


def test_a_snapshot_is_on_disk_before_it_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from builders.domain import NOON
    from modelmark.domain.routes import Snapshot

    with recorded(tmp_path, monkeypatch) as order:
        write_snapshot(tmp_path / "place" / "snapshot.dsse.json", Snapshot(sequence=1, issued_at=NOON, routes=()), KEY)
    place = order.where("rename", "snapshot.dsse.json")[0]
    assert [what for what, _ in order.did[:place]].count("sync") >= 1
    assert [path for what, path in order.did[place:] if what == "sync"] == ["place"]


def test_a_checkpoint_file_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded(tmp_path, monkeypatch) as order:
        write_into(tmp_path / "away", "checkpoint.json", b"{}")
    assert [what for what, _ in order.did] == ["sync", "rename", "sync"]
    order.holds(("rename", "away/checkpoint.json"), ("sync", "away"))


def test_a_pass_takes_so_many_bytes_and_leaves_the_rest_for_the_next(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    with Writer(space.wal) as writer:
        writer.declare(schema())
        for number in range(4):
            writer.append(predicted(f"p{number}"))
            writer.seal()
    sizes = [file.path.stat().st_size for file in sealed_segments(space.wal)]
    compactor = Compactor(space, pass_bytes=sizes[0] + 1)
    passes = [compactor.run(), compactor.run(), compactor.run()]
    assert [(done.segments, done.more) for done in passes] == [(2, True), (2, False), (0, False)]
    exact = Compactor(Workspace(tmp_path), pass_bytes=1)
    assert exact.run().more is False
    assert dict(verify_tables(space)) == {"predictions/loans": 4}


def test_a_replaced_file_stays_an_hour_for_queries_that_still_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "SMALL_FILES", 2)
    space = Workspace(tmp_path)
    compactor = Compactor(space)
    for name in ("p1", "p2"):
        with Writer(space.wal) as writer:
            writer.declare(schema())
            writer.append(predicted(name))
        compactor.run()
    before = {path.name for path in (space.tables / "predictions" / "loans").glob("*.parquet")}
    assert compactor.maintain() == ()
    after = {path.name for path in (space.tables / "predictions" / "loans").glob("*.parquet")}
    assert before < after
    assert compaction.KEEP_HOURS == 1
