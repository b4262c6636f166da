"""Where the files behind an MLflow address may lie: where its own run keeps them, and nowhere else.

A contract names the address, and whoever logs to MLflow names the place behind it; neither may lead us to a file of this
machine, to another host, or out of the folder that we download into.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from modelmark.domain.errors import Rejected

#: A run, or a registered model by version, alias or stage, or a logged model; then folders and files.
_PART: Final = r"(?!\.{1,2}(?:/|$))[^/\\%?#;:\x00-\x1f\x7f]{1,255}"
_ADDRESS: Final = re.compile(rf"(?:runs|models):/(?!/){_PART}(?:/{_PART}){{0,32}}/?")
_LOCAL: Final = frozenset({"", "file"})
#: Kinds of store that a place may name. `http` and `ftp` are missing: whoever writes a place would choose whom we call.
_STORES: Final = frozenset(
    {"s3", "gs", "wasb", "wasbs", "abfs", "abfss", "dbfs", "hdfs", "viewfs", "mlflow-artifacts", "r2"}
)


def require_address(address: str) -> None:
    """Raises Rejected for an address that is not made of plain names."""
    if len(address) > 2_000 or not _ADDRESS.fullmatch(address):
        raise Rejected(
            "this is no address of a model in MLflow", code="BAD_ADDRESS", field="model.source",
            limit="runs:/RUN/path or models:/NAME/VERSION, of plain names without .. % ? # ; and \\",
        )  # fmt: skip


def require_place(place: str, roots: Iterable[str], *, tracking: str) -> Path | None:
    """The folder or file of a place on this machine, None for one in a store.

    roots: where MLflow keeps what belongs to that run. tracking: MLflow's own address; when it is on the network, nothing
    of ours is local. Raises Rejected for a place outside its roots, of another kind, or with links inside.
    """
    parts = urlsplit(place)
    odd = parts.query or parts.fragment or set(place) & set(";\\%?#") or ".." in parts.path.split("/")
    root = next((root for root in map(urlsplit, roots) if _within(parts, root)), None)
    if odd or root is None:
        raise _outside("it lies outside the run's own artifacts")
    if parts.scheme in _LOCAL:
        if tracking.startswith(("http:", "https:")) or parts.netloc not in ("", "localhost"):
            raise _outside("an MLflow on the network names a file of this machine")
        found, base = Path(unquote(parts.path)), Path(unquote(root.path))
        if found.resolve() != base.resolve() / found.relative_to(base):
            raise _outside("a link leads out of the run's own artifacts")
        require_no_links(found)
        return found
    if parts.scheme not in _STORES:
        raise _outside(f"{parts.scheme}: is no kind of store that is read")
    return None


def _within(place: SplitResult, root: SplitResult) -> bool:
    same = (place.scheme, place.netloc) == (root.scheme, root.netloc)
    return same and (place.path + "/").startswith(root.path.rstrip("/") + "/") and root.path.strip("/") != ""


def require_no_links(folder: Path) -> None:
    """Raises Rejected for a symbolic link, a device or a pipe at or below: what it names may lie anywhere."""
    below = [Path(where) / name for where, folders, files in os.walk(folder) for name in (*folders, *files)]
    for path in (folder, *below):
        if not path.exists() and not path.is_symlink():
            continue  # MLflow says what is not there
        kind = path.lstat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise _outside(f"{path.name} in it is a link, or no file")


def _outside(why: str) -> Rejected:
    return Rejected(
        f"what MLflow names is not fetched: {why}", code="UNSAFE_PLACE", field="model.source",
        limit="files of the run itself, in the store where it keeps them",
    )  # fmt: skip
