"""A hole, a flipped bit or a tail written twice takes the records whose bytes it took, and no others."""

from __future__ import annotations

import random
import resource
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from builders.journal import label, predicted, schema
from builders.power import recorded
from builders.power_cuts import Notary
from modelmark.domain.errors import NotYet, Tampered
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables import compact as compaction
from modelmark.journal.tables.compact import Compacted, Compactor, compact
from modelmark.journal.tables.damage import set_aside
from modelmark.journal.tables.query import counts
from modelmark.journal.tables.receipts import Receipts
from modelmark.journal.tables.salvage import Salvaged, salvage
from modelmark.journal.tables.verification import verify_tables
from modelmark.journal.tables.witness import see
from modelmark.journal.wal import frames
from modelmark.journal.wal.frames import Frame, Header
from modelmark.journal.wal.reader import SegmentFile, read_segment, sealed_segments, verify_wal
from modelmark.journal.wal.records import Labelled
from modelmark.journal.wal.recovery import recover
from modelmark.journal.wal.renewed import RenewedWriter
from modelmark.journal.wal.salvage import read_around, sound_records
from modelmark.journal.wal.writer import Sync, Writer

N = 250
PAGE = 4096


def written(space: Workspace, *, count: int = N) -> SegmentFile:
    """One sealed segment of so many labels."""
    with Writer(space.wal) as writer:
        writer.append_many([label(f"p{n}", n) for n in range(count)])
    return sealed_segments(space.wal)[-1]


def opened(file: SegmentFile, *, seal: bool = False) -> SegmentFile:
    """As a power cut leaves it: not sealed yet."""
    data = file.path.read_bytes()
    last = frames_of(data)[-1]
    path = file.path.with_suffix(".open")
    file.path.rename(path)
    path.write_bytes(data if seal else data[: last.offset])
    return SegmentFile(file.writer, file.number, path)


def frames_of(data: bytes) -> list[Frame]:
    header = frames.read_header(data)
    assert header is not None
    return [item for item in frames.walk(data, header) if isinstance(item, Frame)]


def change(file: SegmentFile, at: int, data: bytes) -> None:
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:at] + data + whole[at + len(data) :])


def kept(space: Workspace) -> tuple[Compacted, int]:
    """What a pass found, and how many labels are in the tables after two of them."""
    done = compact(space)
    again = compact(space)
    assert (again.rows, again.damaged) == ({}, ()), "once is enough"
    return done, counts(space).get("labels", 0)


def lost_in(file: SegmentFile, start: int, end: int) -> int:
    """Records of which a byte lies in [start, end)."""
    return sum(frame.offset < end and frame.end > start for frame in frames_of(file.path.read_bytes())[:N])


def test_a_flipped_bit_costs_one_record_wherever_it_is(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    chance = random.Random(7)
    for number in range(6):
        file = written(space, count=30)
        data = file.path.read_bytes()
        at = chance.randrange(frames.HEADER_SIZE, frames_of(data)[-1].offset)
        change(file, at, bytes([data[at] ^ (1 << chance.randrange(8))]))
        done, rows = kept(space)
        assert rows == 29 * (number + 1)
        assert [("1 record is missing" in error.message, "29 are kept" in error.message) for error in done.damaged] == [
            (True, True)
        ]
        assert (space.quarantine / file.writer / file.path.name).is_file()


@pytest.mark.parametrize("still_open", [False, True], ids=["sealed", "open"])
def test_a_zeroed_page_costs_the_records_it_lay_over(tmp_path: Path, still_open: bool) -> None:
    space = Workspace(tmp_path)
    file = written(space)
    lost = lost_in(file, PAGE, 2 * PAGE)
    file = opened(file) if still_open else file
    change(file, PAGE, bytes(PAGE))
    done, rows = kept(space)
    assert (rows, lost > 20) == (N - lost, True)
    (error,) = done.damaged
    assert f"{lost} records are missing, {N - lost} are kept" in error.message
    (known,) = Receipts.of(space).damaged.values()
    assert known.gaps[0][1] == lost
    if still_open:  # a write that had not reached the disk when the power went: told, and nothing to restore
        assert "did not reach the disk" in error.message
        assert not space.quarantine.exists()
        assert dict(verify_tables(space)) == {
            "labels": rows,
            f"log of writer {file.writer[:8]}, lost in a power cut": lost,
        }
    else:
        with pytest.raises(Tampered, match=f"{lost} records are missing") as caught:
            list(verify_tables(space))
        assert caught.value.code == "QUARANTINED"


def test_several_holes_leave_what_lies_between_them(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    file = written(space)
    lost = lost_in(file, PAGE, PAGE + 600) + lost_in(file, 4 * PAGE, 4 * PAGE + 600)
    for at in (PAGE, 4 * PAGE):
        change(file, at, bytes(600))
    assert kept(space)[1] == N - lost


def test_a_lost_header_is_made_again_from_what_came_before(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    with Writer(space.wal) as writer:
        for start in (0, 100, 200):
            writer.append_many([label(f"p{n}", n) for n in range(start, start + 100)])
            writer.seal()
    second = sealed_segments(space.wal)[1]
    lost = lost_in(second, 0, 512)
    change(second, 0, bytes(512))
    done, rows = kept(space)
    assert rows == 300 - lost
    assert len(done.damaged) == 1
    assert f"{lost} records are missing" in done.damaged[0].message


def test_a_tail_written_twice_is_counted_once(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    file = opened(written(space))
    data = file.path.read_bytes()
    file.path.write_bytes(data + data[frames_of(data)[-50].offset :])
    done, rows = kept(space)
    assert (rows, done.damaged) == (N, ())
    assert done.dropped > 0


def test_a_stretch_written_twice_in_the_middle_is_counted_once(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    file = written(space)
    data = file.path.read_bytes()
    one = frames_of(data)
    file.path.write_bytes(data[: one[100].end] + data[one[50].offset : one[100].end] + data[one[100].end :])
    done, rows = kept(space)
    assert (rows, "0 records are missing" in done.damaged[0].message) == (N, True)


def test_a_lost_end_is_counted_by_what_the_next_segment_says(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    with Writer(space.wal) as writer:
        for start in (0, 100):
            writer.append_many([label(f"p{n}", n) for n in range(start, start + 100)])
            writer.seal()
    first = sealed_segments(space.wal)[0]
    data = first.path.read_bytes()
    first.path.write_bytes(data[: frames_of(data)[70].offset + 5])
    done, rows = kept(space)
    assert rows == 170
    assert "30 records are missing, 70 are kept" in done.damaged[0].message
    assert verify_wal(space.wal).bad is None


def test_a_release_goes_on_beside_a_damaged_segment_that_no_pass_has_seen(tmp_path: Path) -> None:
    """What it signs says where the sound one before ends."""
    space, notary = Workspace(tmp_path), Notary()
    with Writer(space.wal) as writer:
        for number in range(2):
            writer.append(label("p", number))
            writer.seal()
    first, second = sealed_segments(space.wal)
    end = read_segment(first).end
    change(second, 90, b"\xff")
    head = see(space, notary)
    assert head is not None
    assert head.writers == {first.writer: end}
    assert Compactor(space, witness=notary).run().rows == {"labels": 1}


def test_whoever_looks_something_up_finds_it_beside_damage(tmp_path: Path) -> None:
    file = written(Workspace(tmp_path), count=9)
    data = file.path.read_bytes()
    one = frames_of(data)
    change(file, one[4].end - 1, b"\xff")
    assert [record.at for record in sound_records(file) if isinstance(record, Labelled)] != []
    assert len(sound_records(file)) == 8
    file.path.write_bytes(b"nothing of ours")
    assert sound_records(file) == ()


def test_a_lost_segment_is_counted(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    with Writer(space.wal) as writer:
        for start in (0, 40, 80):
            writer.append_many([label(f"p{n}", n) for n in range(start, start + 40)])
            writer.seal()
    for file in sealed_segments(space.wal)[:2]:
        file.path.unlink()
    done, rows = kept(space)
    assert (rows, "80 records are missing" in done.damaged[0].message) == (40, True)


def test_a_frame_that_somebody_rewrote_is_not_believed_nor_what_follows(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    file = written(space, count=9)
    data = file.path.read_bytes()
    header, one = frames.read_header(data), frames_of(data)
    assert header is not None
    forged, _ = frames.frame(one[3].link, 4, frames.encode(label("p4", 9)), seed=header.seed())
    file.path.write_bytes(data[: one[4].offset] + forged + data[one[4].end :])
    done, rows = kept(space)
    assert (rows, "chain is broken" in done.damaged[0].message) == (0, True)
    assert (space.quarantine / file.writer / file.path.name).is_file()


def forged(sequence: int, header: Header) -> bytes:
    """Frames as a caller who knows the format, and even the sequence, puts them into numbers; all but the seed."""
    found, last = b"", bytes(32)
    for number in range(sequence, sequence + 3):
        piece, last = frames.frame(last, number, frames.encode(label("forged", number)), seed=0)
        found += piece
    return found


@pytest.mark.parametrize("form", frames.FORMATS)
def test_what_a_caller_sends_is_never_taken_for_a_frame(tmp_path: Path, form: int) -> None:
    """Not even where the frame around it lost its beginning, which is where sound frames are looked for."""
    space, writer = Workspace(tmp_path), "ab" * 16
    header = Header(writer, 0, 0, form=form)
    names = [f"x{n}" for n in range(120)]
    hostile = forged(3, header)
    hostile += bytes(len(names) * 8 - len(hostile))
    records = [schema(numeric=names, text=[])]
    records += [
        predicted(f"p{n}", ages=(1.0,), jobs=(), numbers=hostile if n == 1 else np.ones(len(names)).tobytes())
        for n in range(4)
    ]
    data, last = header.to_bytes(), header.link()
    for number, record in enumerate(records):
        piece, last = frames.frame(last, number, frames.encode(record), seed=header.seed())
        data += piece
    one = frames_of(data)
    assert hostile in data
    path = space.wal / writer / f"{0:012d}.open"
    path.parent.mkdir(parents=True)
    path.write_bytes(data[: one[2].offset] + bytes(frames.FRAME_SIZE) + data[one[2].offset + frames.FRAME_SIZE :])
    compact(space)
    found = counts(space)
    assert "labels" not in found
    assert found["predictions/loans"] == (3 if form == frames.FORMAT else 1)


def test_a_frame_of_another_segment_that_lies_there_is_not_believed(tmp_path: Path) -> None:
    """A sector that the disk gave back from an older file."""
    old, new = (written(Workspace(tmp_path / name), count=60) for name in ("old", "new"))
    other, data = old.path.read_bytes(), new.path.read_bytes()
    one = frames_of(data)
    start = one[20].offset
    new.path.write_bytes(data[:start] + other[start : one[40].offset] + data[one[40].offset :])
    segment = read_around(new)
    assert list(segment.sequences()) == [*range(20), *range(40, 60)]
    assert [(gap.first, gap.missing) for gap in segment.gaps] == [(20, 20)]


def test_a_crash_between_receipt_and_quarantine_keeps_the_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Workspace(tmp_path)
    file = written(space)
    change(file, PAGE, b"\xff" * 9)

    class Killed(BaseException): ...

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        with pytest.raises(Killed):
            compact(space)
    assert file.path.exists()
    assert kept(space)[1] == N - 1
    assert (space.quarantine / file.writer / file.path.name).is_file()


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: a write takes what fits, the next one fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_seal_that_does_not_fit_is_not_half_written(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    file = opened(written(space, count=1000))
    before = file.path.read_bytes()
    with room_for(len(before) + 20), pytest.raises(OSError, match="too large"):
        recover(file.path.parent)
    assert file.path.read_bytes() == before
    done, rows = kept(space)
    assert (rows, done.damaged) == (1000, ())


def test_a_batch_that_does_not_fit_is_not_half_written(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    writer = Writer(space.wal, sync=Sync.ALWAYS)
    writer.append_many([label(f"p{n}", n) for n in range(50)])
    path = next(writer.folder.glob("*.open"))
    before = path.stat().st_size
    with room_for(before + 2000), pytest.raises(NotYet):
        writer.append_many([label(f"q{n}", n) for n in range(50)])
    with pytest.raises(NotYet):
        writer.close()
    assert path.stat().st_size == before
    assert kept(space)[1] == 50


def test_a_server_s_writer_is_replaced_once_there_is_room_again(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    writer = RenewedWriter(space.wal, sync=Sync.ALWAYS, sync_ms=50, seal_after=9)
    writer.append_many([label("p1", 1)])
    with room_for(1000):
        with pytest.raises(NotYet) as told:
            writer.append_many([label(f"q{n}", n) for n in range(50)])
        assert (told.value.code, writer.failure) == ("JOURNAL_FAILED", "OSError: File too large")
        assert writer.renew() is False
        with pytest.raises(NotYet):
            writer.append_many([label("q", 1)])
    assert writer.renew() is True
    assert writer.failure is None
    writer.append_many([label("p2", 1)])
    writer.close()
    assert kept(space)[1] == 2
    assert list(space.wal.iterdir()) == [], "the failed one's folder is let go of, and no scratch file stays"


def test_receipts_that_did_not_fit_come_with_the_next_pass(tmp_path: Path) -> None:
    """They are a chain: one link remembered and not written would break it for ever."""
    space = Workspace(tmp_path)
    compactor = Compactor(space)
    for number in range(2):
        with Writer(space.wal) as writer:
            writer.append(label("p", number))
        compactor.run()
    with Writer(space.wal) as writer:
        writer.append(label("p", 3))
    receipts = Receipts(space.receipts)
    receipts.load()
    before = space.receipts.stat().st_size
    with room_for(before + 50), pytest.raises(OSError, match="too large"):
        compactor.run()
    assert space.receipts.stat().st_size == before
    compactor.run()
    assert dict(verify_tables(space)) == {"labels": 3}


def test_a_segment_of_a_later_release_stays_where_it_is_and_so_does_what_follows(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    with Writer(space.wal) as writer:
        for number in range(3):
            writer.append(label("p", number))
            writer.seal()
    files = sealed_segments(space.wal)
    data = files[1].path.read_bytes()
    later = Header(files[1].writer, 1, 2, form=3).to_bytes()
    files[1].path.write_bytes(later + data[len(later) :])
    for _ in range(2):
        assert [error.code for error in compact(space).damaged] == ["UNKNOWN_FORMAT"]
    assert [file.number for file in sealed_segments(space.wal)] == [1, 2]
    assert not space.quarantine.exists()
    files[1].path.write_bytes(data)
    compact(space)
    assert counts(space) == {"labels": 3}


def test_a_checksum_of_format_1_still_reads(tmp_path: Path) -> None:
    header = Header("cd" * 16, 0, 0, form=1)
    payload = frames.encode(label("p", 1))
    data, last = frames.frame(header.link(), 0, payload, seed=header.seed())
    tail = struct.pack("<Q32s", 0, last)
    assert data[8:12] == struct.pack("<I", crc32(frames.RECORD + tail + payload))
    path = tmp_path / header.writer / f"{0:012d}.open"
    path.parent.mkdir()
    path.write_bytes(header.to_bytes() + data)
    assert read_segment(SegmentFile(header.writer, 0, path)).records == (label("p", 1),)


def by_an_earlier_release(space: Workspace, file: SegmentFile) -> Path:
    """Set aside whole, with the receipt of its time."""
    receipts = Receipts(space.receipts)
    receipts.load()
    name = f"{file.writer}/{file.path.name}"
    receipts.append([{"kind": "damage", "what": name, "why": "rot", "kept": False}])
    set_aside(space, name)
    return space.quarantine / name


def salvaged(space: Workspace) -> Salvaged:
    (found,) = salvage(space, Compactor(space))
    return found


def test_what_was_set_aside_whole_is_salvaged_once(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    file = written(space)
    lost = lost_in(file, PAGE, 2 * PAGE)
    change(file, PAGE, bytes(PAGE))
    by_an_earlier_release(space, file)
    compact(space)
    assert counts(space) == {}
    first, second = salvaged(space), salvaged(space)
    assert (first.taken, first.missing, second.taken, second.missing) == (N - lost, lost, 0, lost)
    assert counts(space) == {"labels": N - lost}
    with pytest.raises(Tampered, match=f"{lost} records are missing"):
        list(verify_tables(space))


def test_a_sound_copy_brings_what_was_missing_and_nothing_else(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    file = written(space)
    sound = file.path.read_bytes()
    change(file, PAGE, b"\xff" * PAGE)
    compact(space)
    aside = space.quarantine / file.writer / file.path.name
    half = sound[: PAGE + 700] + bytes(PAGE - 700) + sound[2 * PAGE :]
    aside.write_bytes(half)
    first = salvaged(space)
    assert (first.taken > 0, first.whole) == (True, False)
    aside.write_bytes(sound)
    assert salvaged(space).whole
    assert counts(space) == {"labels": N}
    assert dict(verify_tables(space)) == {"labels": N}
    assert salvage(space, Compactor(space)) == []


@pytest.mark.parametrize(
    "crash", ["before commits", "between tables", "before receipts", "before it is told", "before the end"]
)
def test_a_salvage_that_is_cut_short_takes_nothing_twice(
    tmp_path: Path, crash: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Workspace(tmp_path)
    with Writer(space.wal) as writer:
        writer.declare(schema())
        writer.append_many([predicted("p1"), label("p1", 1), predicted("p2")])
    by_an_earlier_release(space, sealed_segments(space.wal)[0])

    class Killed(BaseException): ...

    calls: list[int] = []

    def die_at(number: int, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **more: Any) -> Any:
            calls.append(1)
            if len(calls) == number:
                raise Killed
            return real(*given, **more)

        return call

    with monkeypatch.context() as patch:
        if crash in ("before commits", "between tables"):
            patch.setattr(compaction, "commit", die_at(1 + (crash == "between tables"), compaction.commit))
        elif crash == "before receipts":
            patch.setattr(Compactor, "settle", die_at(2, Compactor.settle))
        elif crash == "before it is told":
            patch.setattr(Compactor, "tell", die_at(4, Compactor.tell))  # after the salvage, the intents, the commits
        else:
            patch.setattr(Path, "unlink", die_at(1, Path.unlink))
        with pytest.raises(Killed):
            salvaged(space)
    assert salvaged(space).whole
    assert counts(space) == {"predictions/loans": 2, "labels": 1}
    assert dict(verify_tables(space)) == {"predictions/loans": 2, "labels": 1}


def test_a_file_that_no_receipt_speaks_of_is_not_taken(tmp_path: Path) -> None:
    """Its records may be in the tables."""
    space = Workspace(tmp_path)
    file = written(space, count=3)
    sound = file.path.read_bytes()
    compact(space)
    aside = space.quarantine / file.writer / file.path.name
    aside.parent.mkdir(parents=True)
    aside.write_bytes(sound)
    assert "no receipt" in str(salvaged(space).refused)
    assert counts(space) == {"labels": 3}


def two_open(space: Workspace, first: int = 100, second: int = 40) -> tuple[SegmentFile, SegmentFile]:
    """Two segments of one writer that died before either was sealed on disk."""
    with Writer(space.wal) as writer:
        writer.append_many([label(f"p{n}", n) for n in range(first)])
        writer.seal()
        writer.append_many([label(f"q{n}", n) for n in range(second)])
    one, two = sealed_segments(space.wal)
    return opened(one, seal=True), opened(two)


def cut_in_half(file: SegmentFile) -> int:
    """How many records went with the end of a file."""
    data = file.path.read_bytes()
    half = frames_of(data)[50].offset
    file.path.write_bytes(data[:half])
    return 50


def emptied(file: SegmentFile) -> int:
    file.path.write_bytes(b"")
    return 100


def zeroed(file: SegmentFile) -> int:
    file.path.write_bytes(bytes(file.path.stat().st_size))
    return 100


@pytest.mark.parametrize("torn", [False, True], ids=["whole", "its size came and its end did not"])
@pytest.mark.parametrize("lose", [cut_in_half, emptied, zeroed])
def test_a_later_segment_on_disk_before_the_end_of_an_earlier_one_is_no_damage(
    tmp_path: Path, lose: Callable[[SegmentFile], int], torn: bool
) -> None:
    space = Workspace(tmp_path)
    one, two = two_open(space)
    lost = lose(one)
    if torn:
        two.path.write_bytes(two.path.read_bytes() + bytes(700))
    done, rows = kept(space)
    assert rows == 140 - lost
    assert done.damaged, "it is told"
    for error in done.damaged:
        assert "did not reach the disk" in error.message
    assert not space.quarantine.exists(), "a power cut leaves no evidence of anybody"
    known = Receipts.of(space).damaged.values()
    assert sum(count or 0 for one in known for _, count in one.gaps) == lost


def test_an_earlier_segment_is_on_disk_before_a_later_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Workspace(tmp_path / "w")
    space.root.mkdir()
    with recorded(space.root, monkeypatch) as power, Writer(space.wal, sync_ms=150) as writer:
        places: list[int] = []
        for _ in range(3):
            writer.append_many([label(f"p{n}", n) for n in range(20)])
            places.append(power.inode(writer._fd) or 0)
            writer.seal()
        writer.append(label("q", 1))
        places.append(power.inode(writer._fd) or 0)
        until = time.monotonic() + 20
        while (syncs := [act.inode for act in power.acts if act.what == "sync"]).count(places[-1]) == 0:
            assert time.monotonic() < until
            time.sleep(0.02)
    assert len(set(places)) == 4
    firsts = [syncs.index(place) for place in places]
    assert firsts == sorted(firsts)
