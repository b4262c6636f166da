"""What `model.source` names beside a contract: a file, or a folder with a model and what it needs; and the object in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from modelmark.domain.digest import Digest
from modelmark.domain.errors import Rejected, TooLarge
from modelmark.seal.digests import digest_file, digest_value

#: In one folder. Somebody who names a whole project means another folder.
MOST_FILES: Final = 1000
_LEFT_OUT: Final = ("__pycache__",)


def split(source: str) -> tuple[str, str]:
    """(the path, the name of the object in it; empty where none is named).

    >>> split("score.py:Scorer"), split("model.joblib"), split("a:b/model.py")
    (('score.py', 'Scorer'), ('model.joblib', ''), ('a:b/model.py', ''))
    """
    path, colon, name = source.rpartition(":")
    return (path, name) if colon and path and name.isidentifier() else (source, "")


def files(place: Path) -> Mapping[str, Path]:
    """Those of a folder by their paths in it, with `/`, in order; hidden ones and Python's caches are left out.

    Raises Rejected (NOT_A_FILE) for a link or a device, TooLarge (TOO_LARGE) for more than `MOST_FILES`.
    """
    found: dict[str, Path] = {}
    for folder, below, names in os.walk(place):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in _LEFT_OUT)
        for name in [*names, *(name for name in below if Path(folder, name).is_symlink())]:
            path = Path(folder, name)
            if name.startswith("."):
                continue
            if not stat.S_ISREG(path.lstat().st_mode):
                raise Rejected(
                    f"{path.relative_to(place)} in {place.name} is no plain file", code="NOT_A_FILE", field="model.source",
                    hint="copy what it leads to into the folder",
                )  # fmt: skip
            found[path.relative_to(place).as_posix()] = path
            if len(found) > MOST_FILES:
                raise TooLarge(
                    f"{place.name} holds more files than a model may", code="TOO_LARGE", field="model.source",
                    limit=f"{MOST_FILES:,} files", hint="name a folder with the model and what it needs, and nothing else",
                )  # fmt: skip
    return dict(sorted(found.items()))


def main_of(names: Mapping[str, object], place: str) -> str:
    """Which file of a folder is the model: `model.py`; else the only one called `model`; else the only one that is no Python;
    else the only one. Raises Rejected (NOT_A_MODEL)."""
    top = [name for name in names if "/" not in name]
    for fits in (
        lambda name: name == "model.py",
        lambda name: name.partition(".")[0] == "model",
        lambda name: not name.endswith(".py"),
        lambda _: True,
    ):
        found = [name for name in top if fits(name)]
        if len(found) == 1:
            return found[0]
    raise Rejected(
        f"which file of {place} is the model?",
        code="NOT_A_MODEL",
        field="model.source",
        limit=", ".join(top[:10]) or "it holds none",
        hint="call it model.py, or model.joblib",
    )


def digest(place: Path) -> Digest:
    """Of the very bytes of a file; of a folder's list of paths and digests. Raises as `files` does."""
    if place.is_dir():
        return digest_of({name: digest_file(path) for name, path in files(place).items()})
    return digest_file(place)


def digest_of(digests: Mapping[str, Digest]) -> Digest:
    """Of a folder's files, by path."""
    return digest_value(dict(digests))
