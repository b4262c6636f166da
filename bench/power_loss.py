"""Power cuts, torn tails, flipped bits and faults at calls: `python bench/power_loss.py [--images 10000] [--tail 65536]`.

A journal lives for a while; everything it did to the disk is recorded. Then the power goes at random moments, and of what
no sync covered any part reaches the disk, sector by sector, names too (`tests/builders/power.py`). Recovery runs on each
such image. Further: the last bytes of an open segment are cut off one by one; single bits of a sealed one are flipped; and
each call that changes the disk fails once, with EIO, with ENOSPC, and by ending the process (`strace` where it is there).
Counted are synced records that are lost, false ones, and ones found twice. Prints one JSON document; exit code 1 when there
is any.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import count, product
from pathlib import Path
from random import Random
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from builders.journal import label
from builders.power_cuts import FAULTS, Life, Notary, cut, faulted, lived
from modelmark.journal.wal.frames import Damage, Frame, read_header, walk
from modelmark.journal.wal.reader import SegmentFile, sealed_segments
from modelmark.journal.wal.records import Labelled
from modelmark.journal.wal.salvage import read_around
from modelmark.journal.wal.writer import Sync, Writer

SYSTEM_CALLS: Final = ("write", "fdatasync", "fsync", "rename", "unlink")
#: Seconds in which a process that met a fault has ended, or it hangs; and what a library says whose threads could not be woken
#: any more, because the call that failed was on an event descriptor, which no disk is behind.
ENDS: Final = 60.0
NO_DISK: Final = "failed to wake I/O driver"
#: A life of its own process, for strace: prints each label that was answered.
CHILD: Final = """
import sys; sys.path.insert(0, sys.argv[2])
from contextlib import contextmanager
from pathlib import Path
from builders.power_cuts import Life, Notary
life = Life(Path(sys.argv[1]), Notary())
@contextmanager
def around(values):
    yield
    print(values.start, values.stop, flush=True)
life.run(around, batches=6)
"""


def images(number: int, root: Path, seed: int) -> tuple[int, list[str]]:
    """Half of the images with a writer that syncs before each answer, half with one that syncs every millisecond."""
    faults: list[str] = []
    for sync in (Sync.ALWAYS, Sync.INTERVAL):
        chance, place = Random(seed), root / sync
        place.mkdir()
        power, notary = lived(place / "w", sync)
        for n in range(number // 2):
            if wrong := cut(power, notary, place / "image", chance):
                faults.append(f"image {n} with {sync}: {wrong}")
            shutil.rmtree(place / "image")
    return number // 2 * 2, faults


def tails(most: int, root: Path) -> tuple[int, list[str]]:
    """An open segment, cut off at each of its last bytes: the whole frames before the cut are there, and no others."""
    with Writer(root / "wal", max_bytes=1 << 30) as writer:
        writer.append_many([label(f"p{n}", n, at=n) for n in range(900)])
    data = sealed_segments(root / "wal")[0].path.read_bytes()
    header, faults = read_header(data), []
    assert header is not None
    ends = [item.end for item in walk(data, header) if isinstance(item, Frame)]
    for size in range(len(data) - min(most, len(data) - ends[0]), len(data)):
        items = list(walk(data[:size], header))
        whole = [item.end for item in items if isinstance(item, Frame)]
        if whole != ends[: len(whole)] or len(whole) != sum(end <= size for end in ends):
            faults.append(f"cut at byte {size}")
        if any(isinstance(item, Damage) and not item.torn for item in items):
            faults.append(f"cut at byte {size} is not taken for a torn tail")
    return min(most, len(data)), faults


def flips(number: int, root: Path, seed: int) -> tuple[int, list[str]]:
    """A sealed segment with one bit flipped: told, and one record is missing at most."""
    chance, faults = Random(seed), []
    with Writer(root / "wal") as writer:
        writer.append_many([label(f"p{n}", n, at=n) for n in range(200)])
    (file,) = sealed_segments(root / "wal")
    data = file.path.read_bytes()
    path = root / file.writer / file.path.name
    path.parent.mkdir()
    for _ in range(number):
        at = chance.randrange(80, len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :])
        found = read_around(SegmentFile(file.writer, 0, path))
        if (
            not found.gaps
            or len(found.records) < 199
            or [r.at for r in found.records if isinstance(r, Labelled)] != list(found.sequences())
        ):
            faults.append(f"byte {at}: {len(found.records)} records, {len(found.gaps)} gaps")
    return number, faults


def calls(step: int, root: Path) -> tuple[int, list[str]]:
    """Each call (each so many) fails once."""
    faults, tried = [], 0
    for fault in FAULTS:
        for at in count(1, step):
            place = root / f"{fault}-{at}"
            there, wrong = faulted(place, at, fault)
            if wrong:
                faults.append(f"{fault} at call {at}: {wrong}")
            shutil.rmtree(place)
            tried += there
            if not there:
                break
    return tried, faults


def kills(number: int, root: Path, seed: int) -> tuple[int, list[str]]:
    """A process of its own, whose n-th system call of a kind fails or is its last; strace does it."""
    if shutil.which("strace") is None:
        return 0, []
    every = list(product(SYSTEM_CALLS, ("signal=KILL", "error=EIO", "error=ENOSPC"), range(1, 40)))
    chosen, faults = Random(seed).sample(every, min(number, len(every))), []
    for call, how, at in chosen:
        place = root / f"{call}-{how}-{at}"
        place.mkdir()
        if wrong := _killed(place, call, how, at):
            faults.append(f"{call} {at} {how}: {wrong}")
        shutil.rmtree(place)
    return len(chosen), faults


def _killed(place: Path, call: str, how: str, at: int) -> str:
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{how}:when={at}"]
    tests = str(Path(__file__).resolve().parents[1] / "tests")
    command = [*words, sys.executable, "-c", CHILD, str(place), tests]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        try:
            out, _ = child.communicate(timeout=ENDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
            if NO_DISK not in err:
                return f"it did not end within {ENDS:.0f} s"
    said = re.findall(r"^(\d+) (\d+)\n", out, flags=re.MULTILINE)  # the last line may be cut short
    answered = {n for start, stop in said for n in range(int(start), int(stop))}
    wrong: str = Life(place, Notary()).check(answered, set(range(100_000)))
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--tail", type=int, default=65_536)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=100, help="per cent of the calls that fail")
    parser.add_argument("--system-calls", type=int, default=585)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    step, found, faults = max(1, 100 // max(given.calls, 1)), dict[str, Any](), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        parts: dict[str, Callable[[Path], tuple[int, list[str]]]] = {
            "images": lambda root: images(given.images, root, given.seed),
            "cuts": lambda root: tails(given.tail, root),
            "flips": lambda root: flips(given.flips, root, given.seed),
            "faults at calls": lambda root: calls(step, root),
            "system calls": lambda root: kills(given.system_calls, root, given.seed),
        }
        for name, part in parts.items():
            root = Path(folder) / name
            root.mkdir()
            found[name], wrong = part(root)
            faults += wrong
            print(f"{name}: {found[name]:,} tried, {len(wrong)} faults", file=sys.stderr, flush=True)
    print(json.dumps({"tried": found, "faults": faults}, indent=1))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
