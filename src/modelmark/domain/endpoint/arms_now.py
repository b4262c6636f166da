"""How requests have ended at each arm of routes with several, as a worker counts them: seen by others within a second, long before
the journal's tables have them. Nothing rests on these counts but a rollback."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelmark.domain.workspace import Workspace

_FILES: Final = "arms-"
#: Counts of a process that said nothing for so many seconds, and ended without a word, are nobody's concern any more.
_KEPT: Final = 3600.0

#: (model, the version that was to answer, digest hex, arm)
ArmKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class ArmsOf:
    """What one process counted since it began: requests, and those of them that failed. alive: it still runs."""

    process: str
    alive: bool
    counts: Mapping[ArmKey, tuple[int, int]]


def tell_arms(workspace: Workspace, process: str, counts: Mapping[ArmKey, tuple[int, int]]) -> None:
    """Whole, or not at all. Where nothing can be written, the journal says so."""
    path = workspace.runtime / f"{_FILES}{process}"
    listed = [[*key, *numbers] for key, numbers in counts.items()]
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        beside = path.with_name(f".{path.name}")
        beside.write_text(json.dumps({"pid": os.getpid(), "arms": listed}), encoding="utf-8")
        beside.replace(path)


def end_arms(workspace: Workspace, process: str) -> None:
    """It ends as it should."""
    with suppress(OSError):
        (workspace.runtime / f"{_FILES}{process}").unlink(missing_ok=True)


def arms_now(workspace: Workspace) -> list[ArmsOf]:
    """Of every process that told, also of those that died; what cannot be read is left out until it can."""
    found: list[ArmsOf] = []
    for path in sorted(workspace.runtime.glob(f"{_FILES}*")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(path.read_text(encoding="utf-8"))
            alive = _runs(int(said["pid"]))
            if not alive and time.time() - path.stat().st_mtime > _KEPT:
                path.unlink(missing_ok=True)
                continue
            counts = {(str(m), str(v), str(a)): (int(n), int(failed)) for m, v, a, n, failed in said["arms"]}
            found.append(ArmsOf(path.name.removeprefix(_FILES), alive, counts))
    return found


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return _state(pid) != "Z"


def _state(pid: int) -> str:
    """`Z` for one that has ended and whose parent has not looked yet; empty where the system does not say."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    return ""
