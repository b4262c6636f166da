"""Copies of checkpoints to places that this workspace's operator does not control: a folder, a git repository, an address."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from modelmark.domain.errors import NotYet, Rejected
from modelmark.seal.files import replace_file

GIT: Final = "git+"
SECONDS: Final = 30


def check_target(target: str) -> None:
    """Raises Rejected for an address of no known kind."""
    if "://" in target and not target.startswith(("http://", "https://")):
        raise Rejected(
            "checkpoints cannot go to such an address",
            code="BAD_CHECKPOINT_TARGET",
            field="MODELMARK_CHECKPOINT_TO",
            limit="a folder, git+FOLDER of a clone, or an http(s) address that takes PUT, such as a presigned one",
        )


def export(target: str, name: str, data: bytes) -> str:
    """Write one file there; a sentence saying where it went. Raises NotYet (EXPORT_FAILED) when it did not arrive.

    An address in which `{name}` stands gets the file's name there; another one is written as it is, each time anew.
    """
    check_target(target)
    try:
        if target.startswith(("http://", "https://")):
            return _put(target.replace("{name}", name), data)
        if target.startswith(GIT):
            return _commit(Path(target.removeprefix(GIT)), name, data)
        return write_into(Path(target), name, data)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotYet(
            f"the checkpoint {name} could not be exported: {_why(error)}",
            code="EXPORT_FAILED",
            field="MODELMARK_CHECKPOINT_TO",
            hint="it is kept here and goes with the next one: modelmark checkpoint",
        ) from None


def write_into(folder: Path, name: str, data: bytes) -> str:
    """Replace one file in one step, synced."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / name, data)
    return f"written to {folder / name}"


def _commit(folder: Path, name: str, data: bytes) -> str:
    """Commit in a clone, and push where it has a remote."""
    if not (folder / ".git").exists():
        raise FileNotFoundError(2, "no git repository", str(folder))
    write_into(folder, name, data)
    _git(folder, "add", "--", name)
    _git(folder, "commit", "--quiet", "--only", "--message", f"Checkpoint {name}", "--", name)
    if not _git(folder, "remote"):
        return f"committed to {folder}"
    _git(folder, "push", "--quiet")
    return f"committed to {folder} and pushed"


def _git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=modelmark", "-c", "user.email=modelmark@localhost")
    command = ["git", "-C", str(folder), *who, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or [f"git ended with {done.returncode}"])[-1]
        raise OSError(done.returncode, said)
    return done.stdout.strip()


def _put(address: str, data: bytes) -> str:
    """Without redirects: what was signed for one address goes to no other."""
    import httpx2  # every act imports this module, and few put

    headers = {"content-type": "application/json"}
    try:
        answer = httpx2.put(address, content=data, headers=headers, timeout=SECONDS, follow_redirects=False)
    except httpx2.HTTPError as error:
        raise OSError(0, type(error).__name__) from None
    if not 200 <= answer.status_code < 300:
        raise OSError(answer.status_code, f"the address answered {answer.status_code}")
    return f"put to {address.partition('?')[0]}"


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
