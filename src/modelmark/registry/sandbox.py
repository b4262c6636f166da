"""Runs the one child that may open an artifact, and turns whatever becomes of it into facts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from modelmark.domain.errors import Rejected, TimedOut
from modelmark.registry import sandbox_child

Verb = Literal["inspect", "convert", "score"]

_RESULT_BYTES: Final = 1 << 20
_UNSAFE_HINT: Final = "do not open this file; find out where it comes from"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one child may use. memory_bytes comes on top of what the libraries need."""

    memory_bytes: int = 4 << 30
    seconds: float = 300.0
    file_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildResult:
    """What a child left behind. facts: untrusted plain values. folder: where its output files lie, for now."""

    facts: Mapping[str, Any]
    folder: Path

    def bytes_of(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


@contextmanager
def run(verb: Verb, request: Mapping[str, Any], files: Mapping[str, Path], limits: Limits) -> Iterator[ChildResult]:
    """Run the child in a fresh folder that holds copies of `files`; the folder goes when the block ends.

    Raises Rejected with code UNSAFE_ARTIFACT (names what it tried), OUT_OF_MEMORY, CRASHED, or the child's own code;
    TimedOut with code TOO_SLOW.
    """
    with tempfile.TemporaryDirectory(prefix="modelmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for target, source in files.items():
            shutil.copyfile(source, folder / target)
        granted = {
            "memory_bytes": limits.memory_bytes,
            "cpu_seconds": int(limits.seconds) + 1,
            "file_bytes": limits.file_bytes,
        }
        (folder / "request.json").write_text(json.dumps({**request, **granted}), encoding="utf-8")
        code = _spawn(verb, folder, limits)
        yield ChildResult(facts=_facts(code, folder, limits), folder=folder)


def _spawn(verb: Verb, folder: Path, limits: Limits) -> int:
    """The exit code; negative for a signal. The child and all it may have started are gone when this returns."""
    # -s -P and our bare environment are what -I gives, and leave the hash seed to us: same model, same bytes.
    command = [sys.executable, "-s", "-P", "-B", "-m", "modelmark.registry.convert_child", verb]
    with (folder / "stderr.txt").open("wb") as errors:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            close_fds=True,
        )
        try:
            return child.wait(limits.seconds)
        except subprocess.TimeoutExpired:
            raise TimedOut(
                f"the model was not read and converted within {limits.seconds:g} s",
                code="TOO_SLOW",
                limit=f"{limits.seconds:g} s",
            ) from None
        finally:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:  # it ended by itself and left nobody behind
        return
    finally:
        child.wait()


def environment() -> dict[str, str]:
    """Nothing of ours: no tokens, no addresses, no library paths."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "JOBLIB_MULTIPROCESSING": "0",
        **dict.fromkeys(threads, "1"),
    }


def _facts(code: int, folder: Path, limits: Limits) -> Mapping[str, Any]:
    if code == sandbox_child.ENDED:
        event = (folder / "ended.txt").read_bytes()[:200].decode("utf-8", "replace")
        raise Rejected(
            f"opening the model tried something no model may do: {event}", code="UNSAFE_ARTIFACT", hint=_UNSAFE_HINT
        )
    if code == -signal.SIGSYS:
        raise Rejected(
            "opening the model made a system call no model may make", code="UNSAFE_ARTIFACT", hint=_UNSAFE_HINT
        )
    if code == -signal.SIGXCPU:
        raise TimedOut("the model used up its processor time", code="TOO_SLOW", limit=f"{limits.seconds:g} s")
    facts = _result(folder)
    if code == sandbox_child.DONE and facts and "code" not in facts:
        return facts
    if facts and "code" in facts:
        raise Rejected(
            str(facts.get("message", "")),
            code=str(facts["code"]),
            hint=str(facts.get("hint") or "") or None,
            limit=f"{limits.memory_bytes >> 20} MiB" if facts["code"] == "OUT_OF_MEMORY" else None,
        )
    if "MemoryError" in _last_words(folder) or code == -signal.SIGKILL:
        raise Rejected("the model needs more memory than the sandbox grants", code="OUT_OF_MEMORY")
    raise Rejected(f"the converter ended with code {code}: {_last_words(folder)[-300:]}", code="CRASHED")


def _result(folder: Path) -> dict[str, Any] | None:
    path = folder / "result.json"
    if not path.is_file() or not 0 < path.stat().st_size <= _RESULT_BYTES:
        return None
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _last_words(folder: Path) -> str:
    return (folder / "stderr.txt").read_bytes()[-2000:].decode("utf-8", "replace").strip()
