"""The journal takes records while its process has no file descriptor left."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from builders.journal import predicted
from modelmark.domain.errors import NotYet
from modelmark.journal.wal.reader import read_segment, sealed_segments
from modelmark.journal.wal.recovery import recover_all
from modelmark.journal.wal.reserve import Reserve
from modelmark.journal.wal.writer import Sync, Writer


@pytest.fixture
def no_descriptor_is_left():
    """A way to use up every descriptor of this process, given back in the end."""
    limits, held = resource.getrlimit(resource.RLIMIT_NOFILE), list[int]()

    def use_up() -> None:
        highest = max(int(name) for name in os.listdir("/proc/self/fd")) + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, limits[1]))
        while True:
            try:
                held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                return

    yield use_up
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for descriptor in held:
        os.close(descriptor)


def test_segment_after_segment_is_begun_and_sealed_without_one(tmp_path: Path, no_descriptor_is_left) -> None:
    with Writer(tmp_path, sync=Sync.INTERVAL, sync_ms=1) as writer:
        no_descriptor_is_left()
        for number in range(5):
            writer.append(predicted(f"{number:032x}"))
            writer.seal()
            while (writer.folder / f"{number:012d}.open").exists():  # a look into the folder would take a descriptor
                assert writer.failure is None
    assert writer.failure is None
    recover_all(tmp_path)
    assert sum(len(read_segment(file).records) for file in sealed_segments(tmp_path)) == 5


def test_what_is_not_for_want_of_descriptors_is_told_and_the_reserve_kept(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    with pytest.raises(FileNotFoundError):
        reserve.open(tmp_path / "no" / "file", os.O_RDONLY, 0o600)
    assert reserve._spare >= 0
    reserve.close()


def test_a_writer_that_cannot_open_at_all_says_so(tmp_path: Path) -> None:
    writer = Writer(tmp_path, sync=Sync.NEVER)
    writer.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(NotYet, match="cannot take records"):
        writer.append(predicted("0" * 32))
    with pytest.raises(NotYet):
        writer.close()
