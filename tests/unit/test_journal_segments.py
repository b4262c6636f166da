"""The journal's write path: what was acknowledged is found again, and nothing else is ever taken for a record."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmark.domain.errors import NotYet, Tampered
from modelmark.domain.predictions.prediction_ids import PredictionIds
from modelmark.journal.wal import frames
from modelmark.journal.wal import writer as writing
from modelmark.journal.wal.reader import (
    SegmentFile,
    alive,
    folders,
    read_segment,
    sealed_segments,
    segment_files,
    verify_wal,
)
from modelmark.journal.wal.records import Labelled, Predicted, Schema
from modelmark.journal.wal.recovery import recover, recover_all
from modelmark.journal.wal.writer import Sync, Writer

SCHEMA = Schema("sha256:1", "churn", "binary", ["a"], [], [0, 1], 1, 0.5)


def label(number: int) -> Labelled:
    return Labelled(f"{number:032x}", 0, number, "churn", 1, "test")


def prediction(number: int) -> Predicted:
    return Predicted(
        f"{number:032x}", number, "churn", "sha256:1", "champion", "model", "r", "", 1, b"\0" * 8, [], [], b"\1" * 16, 5
    )


def written(wal, count: int = 5):
    """A segment as a killed writer leaves it: open, unsealed. Returns its bytes and the end of every frame."""
    child = (
        "import os, sys; from pathlib import Path; from modelmark.journal.wal.writer import Writer;"
        "from modelmark.journal.wal.records import Labelled;"
        f"w = Writer(Path(sys.argv[1]), seal_after=999);"
        f"[w.append(Labelled(f'{{n:032x}}', 0, n, 'churn', 1, 'test')) for n in range({count})];"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", child, str(wal)], check=False)
    (folder,) = folders(wal)
    (file,) = segment_files(folder, writing.OPEN)
    return folder, file.path


def test_what_was_written_is_read_again(tmp_path):
    with Writer(tmp_path) as writer:
        writer.declare(SCHEMA)
        writer.append_many([prediction(1), prediction(2), label(3)])
    (file,) = sealed_segments(tmp_path)
    segment = read_segment(file)
    assert segment.records == (SCHEMA, prediction(1), prediction(2), label(3))
    assert segment.sealed


def test_every_segment_says_how_its_predictions_read(tmp_path):
    with Writer(tmp_path, max_bytes=1) as writer:
        writer.declare(SCHEMA)
        for number in range(3):
            writer.append(prediction(number))
    assert [read_segment(file).records[0] for file in sealed_segments(tmp_path)] == [SCHEMA] * 3


def test_the_chain_runs_through_all_segments_of_a_writer(tmp_path):
    with Writer(tmp_path, max_bytes=1) as writer:
        for number in range(4):
            writer.append(label(number))
    report = verify_wal(tmp_path)
    assert report.bad is None
    assert (report.writers[0].segments, report.records) == (4, 4)
    sealed_segments(tmp_path)[1].path.unlink()
    bad = verify_wal(tmp_path).bad
    assert bad is not None
    assert "segment 1 before it is gone" in bad.message


def test_a_segment_of_another_writer_is_not_taken_in_its_place(tmp_path):
    for _ in range(2):
        with Writer(tmp_path) as writer:
            writer.append(label(1))
    one, other = sealed_segments(tmp_path)
    one.path.write_bytes(other.path.read_bytes())
    assert verify_wal(tmp_path).bad is not None


def test_an_old_segment_is_sealed_by_the_clock(tmp_path):
    with Writer(tmp_path, seal_after=0) as writer:
        writer.append(label(1))
        writer.tick()
        writer.append(label(2))
    assert [len(read_segment(file).records) for file in sealed_segments(tmp_path)] == [1, 1]


def test_a_living_writer_is_left_alone(tmp_path):
    with Writer(tmp_path) as writer:
        writer.append(label(1))
        assert alive(writer.folder)
        assert recover(writer.folder) is None
    assert not alive(writer.folder)


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path):
    folder, _ = written(tmp_path)
    done = recover(folder)
    assert done is not None
    assert (done.sealed, done.records, done.dropped) == (1, 5, 0)
    assert [r.at for r in read_segment(sealed_segments(tmp_path)[0]).records] == list(range(5))
    assert verify_wal(tmp_path).bad is None


def test_a_tail_cut_anywhere_keeps_every_whole_record_and_makes_up_none(tmp_path):
    folder, path = written(tmp_path)
    whole = path.read_bytes()
    file = SegmentFile(folder.name, 0, path)
    ends = [read_until(path, whole, cut, file) for cut in range(len(whole) + 1)]
    assert ends == sorted(ends)
    assert ends[-1] == 5
    assert set(ends) == set(range(6))


def read_until(path, whole: bytes, cut: int, file: SegmentFile) -> int:
    path.write_bytes(whole[:cut])
    records = read_segment(file).records
    assert [r.at for r in records] == list(range(len(records)))
    return len(records)


@pytest.mark.parametrize("tail", [b"\0" * 4096, os.urandom(300)], ids=["zeros", "noise"])
def test_a_torn_tail_is_cut_off_and_counted(tmp_path, tail):
    folder, path = written(tmp_path)
    path.write_bytes(path.read_bytes() + tail)
    done = recover(folder)
    assert done is not None
    assert (done.records, done.dropped) == (5, len(tail))
    assert verify_wal(tmp_path).bad is None


def test_rot_in_the_middle_is_never_taken_for_a_torn_tail(tmp_path):
    folder, path = written(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    done = recover(folder)
    assert done is not None
    assert [file.path for file in done.left] == [path]
    assert (done.sealed, path.read_bytes()) == (0, data), "damage is left as found"
    assert [(item.sealed, len(item.left)) for item in recover_all(tmp_path)] == [(0, 1)]


@settings(max_examples=300, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_of_a_sealed_segment_is_found(tmp_path_factory, at, bit):
    wal = tmp_path_factory.mktemp("wal")
    with Writer(wal, sync=Sync.NEVER, sync_ms=1) as writer:
        writer.append_many([label(n) for n in range(4)])
    (file,) = sealed_segments(wal)
    data = bytearray(file.path.read_bytes())
    data[int(at * len(data))] ^= 1 << bit
    file.path.write_bytes(data)
    with pytest.raises(Tampered):
        read_segment(file)


@pytest.mark.parametrize("call", ["write", "fdatasync"])
@pytest.mark.parametrize("fault", [errno.EIO, errno.ENOSPC])
def test_a_writer_that_failed_once_never_acknowledges_again(tmp_path, monkeypatch, call, fault):
    writer = Writer(tmp_path, sync=Sync.ALWAYS)
    writer.append(label(1))
    real = getattr(os, call)

    def fail(*_):
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(writing.os, call, fail)
    with pytest.raises(NotYet) as refusal:
        writer.append(label(2))
    assert refusal.value.code == "JOURNAL_FAILED"
    monkeypatch.setattr(writing.os, call, real)
    with pytest.raises(NotYet):
        writer.append(label(3))
    with pytest.raises(NotYet):
        writer.close()
    assert recover(writer.folder) is not None
    records = read_segment(sealed_segments(tmp_path)[0]).records
    assert records[0] == label(1)
    assert label(3) not in records


def test_a_failed_sync_in_the_background_stops_the_writer(tmp_path, monkeypatch):
    writer = Writer(tmp_path, sync_ms=1)

    def fail(*_):
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(writing.os, "fdatasync", fail)
    writer.append(label(1))
    writer._thread.join(5)
    with pytest.raises(NotYet, match="journal"):
        writer.append(label(2))
    with pytest.raises(NotYet):
        writer.close()


def test_prediction_ids_sort_by_time_and_never_repeat():
    ids = PredictionIds("ab" * 16)
    made = [ids.next(1_700_000_000_000_000_000 + n * 1_000_000, 1) for n in range(1000)]
    assert made == sorted(set(made))
    assert {len(id) for id in made} == {32}


@pytest.mark.parametrize("relinked", [False, True], ids=["old link kept", "its own link made anew"])
def test_a_record_rewritten_with_a_fresh_checksum_breaks_the_chain(tmp_path, relinked):
    with Writer(tmp_path) as writer:
        writer.append_many([label(n) for n in range(4)])
    (file,) = sealed_segments(tmp_path)
    data = file.path.read_bytes()
    header = frames.read_header(data)
    items = list(frames.walk(data, header))
    before, victim = items[0], items[1]
    forged, _ = frames.frame(before.link, victim.sequence, frames.encode(label(9)), seed=header.seed())
    if not relinked:
        tail = struct.pack("<Q32s", victim.sequence, victim.link)
        payload = frames.encode(label(9))
        crc = crc32(payload, crc32(tail, crc32(frames.RECORD, header.seed())))
        forged = struct.pack("<4sII", frames.RECORD, len(payload), crc) + tail + payload
    file.path.write_bytes(data[: victim.offset] + forged + data[victim.end :])
    with pytest.raises(Tampered, match="chain is broken"):
        read_segment(file)
