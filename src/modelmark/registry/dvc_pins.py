"""Tables that DVC keeps: what its files pin is what is read, and what is absent is pulled first.

Source: DVC 3's `.dvc` files and `dvc.lock` (schema 2.0): outputs with path and md5; before DVC 3 the md5 of a text was taken
with its line ends as Unix writes them, which `hash: md5` tells apart.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from modelmark.domain.errors import Conflict, Malformed, Missing, NotYet

LOCK: Final = "dvc.lock"
_SECONDS: Final = 3600
_PART: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """file: whose word it is. unix: the md5 may be that of the text with Unix line ends."""

    file: Path
    md5: str
    unix: bool


def pinned(base: Path, name: str, progress: Callable[[str], None]) -> str | None:
    """The md5 that DVC pins the table to, once the table is that; None where DVC does not keep it. Pulls what is absent.

    Raises Conflict (TABLE_CHANGED) where the table is another; Missing (NO_DVC) where it is absent and nothing can pull it; NotYet
    (DVC_FAILED) where pulling fails, with DVC's last line; Malformed (BAD_DVC_FILE).
    """
    path = (base / name).resolve()
    pin = next(_pins(path), None)
    if pin is None:
        return None
    if not path.is_file():
        progress(f"pulling {name}, which {pin.file.name} pins")
        _pull(path, pin)
    if pin.md5 not in _digests(path, unix=pin.unix):
        raise Conflict(
            f"{name} is not what {pin.file.name} pins", code="TABLE_CHANGED", field="data", limit=f"md5 {pin.md5}",
            hint=f"dvc checkout {name} brings that back; dvc add {name} (or dvc repro) pins what is here",
        )  # fmt: skip
    return pin.md5


def _pins(path: Path) -> Iterator[Pin]:
    """What the `.dvc` file beside it says, then the `dvc.lock` of its folder or of one above."""
    beside = path.with_name(path.name + ".dvc")
    if beside.is_file():
        for out in _read(beside).get("outs") or ():
            yield from _pin(beside, out, path)
    for folder in path.parents:
        lock = folder / LOCK
        if lock.is_file():
            for stage in (_read(lock).get("stages") or {}).values():
                for out in stage.get("outs") or ():
                    yield from _pin(lock, out, path)
        if (folder / ".dvc").is_dir():
            return


def _pin(file: Path, out: Any, path: Path) -> Iterator[Pin]:
    if not isinstance(out, dict) or not isinstance(out.get("path"), str):
        raise _bad(file)
    if (file.parent / out["path"]).resolve() != path:
        return
    md5 = out.get("md5")
    if not isinstance(md5, str):
        raise _bad(file)
    yield Pin(file=file, md5=md5, unix=out.get("hash") is None)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError):
        raise _bad(file) from None
    if not isinstance(found, dict):
        raise _bad(file)
    return found


def _bad(file: Path) -> Malformed:
    return Malformed(
        f"{file.name} is no file of DVC's that names outputs with path and md5", code="BAD_DVC_FILE", field="data",
        hint=f"dvc add {file.name.removesuffix('.dvc')} writes it anew",
    )  # fmt: skip


def _digests(path: Path, *, unix: bool) -> set[str]:
    plain, ends, carry = hashlib.md5(usedforsecurity=False), hashlib.md5(usedforsecurity=False), b""
    with path.open("rb") as file:
        while part := file.read(_PART):
            plain.update(part)
            if unix:
                part = carry + part
                carry = b"\r" if part.endswith(b"\r") else b""
                ends.update(part[: len(part) - len(carry)].replace(b"\r\n", b"\n"))
    ends.update(carry)
    return {plain.hexdigest(), ends.hexdigest()} if unix else {plain.hexdigest()}


def _pull(path: Path, pin: Pin) -> None:
    beside = Path(sys.executable).with_name("dvc")
    command = str(beside) if beside.is_file() else shutil.which("dvc")
    target = pin.file.name if pin.file.name != LOCK else path.name
    if command is None:
        raise Missing(
            f"{path.name} is not here, and there is no dvc to pull it", code="NO_DVC", field="data",
            limit=f"pinned by {pin.file}", hint=f"pip install dvc, then dvc pull {target}",
        )  # fmt: skip
    done = subprocess.run(
        [command, "pull", target], cwd=path.parent, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode or not path.is_file():
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotYet(
            f"dvc pull {target} failed: {said[-1] if said else f'exit code {done.returncode}'}", code="DVC_FAILED",
            field="data", hint=f"run it in {path.parent}",
        )  # fmt: skip
