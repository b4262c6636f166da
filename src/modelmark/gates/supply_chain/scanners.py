"""Other people's pickle scanners, each in a process of its own with a time limit. Tripwires: each has been bypassed.

The only file that knows picklescan, modelscan and fickling; none of them is imported into this process.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from modelmark.domain.errors import Missing, Unmeasured

#: Findings about every pickle of a folder; empty for none. Raises Unmeasured when the scanner did not do its work.
Scanner = Callable[[Path, float], list[str]]

#: Modules fickling takes for the standard library's pickle, because a part of their name is like it.
_MISTAKEN: Final = ("from numpy.random._pickle import", "from joblib.numpy_pickle import NumpyArrayWrapper")
_FICKLING: Final = """
import json, sys
from dataclasses import replace
from fickling import fickle
from fickling.analysis import Severity, check_safety
from fickling.fickle import Pickled
usual, said = fickle.DEFAULT_INTERPRETER_LIMITS, []
for name in sys.argv[1:]:
    with open(name, "rb") as file:
        pickled = Pickled.load(file, fail_on_decode_error=False)
    if pickled.has_invalid_opcode:
        raise SystemExit("fickling cannot follow " + name)
    size = len(pickled)  # a pickle has no loops: what is as long as its file is no bomb; the ratio of reads still tells one
    fickle.DEFAULT_INTERPRETER_LIMITS = replace(
        usual, max_opcodes=max(usual.max_opcodes, 2 * size), max_memo_size=max(usual.max_memo_size, size)
    )
    worst = [r for r in check_safety(pickled).results if r.severity >= Severity.LIKELY_OVERTLY_MALICIOUS]
    said += [(str(r.analysis_name), str(r.trigger or r.message)) for r in worst]
print(json.dumps(said))
"""


def scan(name: str, streams: Sequence[bytes], seconds: float) -> list[str]:
    """Everything one scanner finds in these pickles. Raises Unmeasured, or Missing for a scanner nobody knows."""
    if name not in SCANNERS:
        raise Missing(f"there is no scanner {name!r}", code="NO_SCANNER", limit=", ".join(SCANNERS))
    with tempfile.TemporaryDirectory(prefix="modelmark-scan-") as folder:
        inside = Path(folder) / "pickles"
        inside.mkdir()
        for place, stream in enumerate(dict.fromkeys(streams)):
            (inside / f"stream-{place}.pkl").write_bytes(stream)
        return list(dict.fromkeys(SCANNERS[name](inside, seconds)))


def _run(words: Sequence[str], folder: Path, seconds: float) -> subprocess.CompletedProcess[str]:
    """The finished process. Raises Unmeasured when it is not installed or not done in time."""
    keep = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-P", *words],
            cwd=folder,
            env={**keep, "NO_COLOR": "1", "COLUMNS": "500", "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        hint = "a larger gates.supply_chain.scan_seconds lets it finish"
        raise Unmeasured(f"the scanner was not done within {seconds:g} s", hint=hint) from None
    if "No module named" in done.stderr[-300:]:
        raise Unmeasured("the scanner is not installed", hint="install modelmark[security]")
    return done


def _picklescan(folder: Path, seconds: float) -> list[str]:
    done = _run(["-m", "picklescan", "-p", folder.name], folder.parent, seconds)
    looked = re.search(r"Scanned files: (\d+)", done.stdout)
    if looked is None or int(looked[1]) != _count(folder) or "ERROR" in done.stderr.upper():
        raise Unmeasured(f"picklescan ended with code {done.returncode}: {(done.stderr or done.stdout)[-200:].strip()}")
    return [f"dangerous import {found}" for found in re.findall(r"dangerous import '([^']*)' FOUND", done.stdout)]


def _modelscan(folder: Path, seconds: float) -> list[str]:
    out = folder.parent / "modelscan.json"
    done = _run(
        ["-m", "modelscan.cli", "scan", "-p", folder.name, "-r", "json", "-o", out.name], folder.parent, seconds
    )
    if not out.exists():
        raise Unmeasured(f"modelscan ended with code {done.returncode}: {(done.stderr or done.stdout)[-200:].strip()}")
    report = json.loads(out.read_bytes())
    if report["errors"] or report["summary"]["scanned"]["total_scanned"] != _count(folder):
        raise Unmeasured(f"modelscan could not read the pickle: {report['errors'] or 'nothing scanned'}")
    return [issue["description"] for issue in report["issues"]]


def _fickling(folder: Path, seconds: float) -> list[str]:
    """Only what it calls malicious: it says of every model that its imports and constructors are likely unsafe."""
    names = sorted(path.name for path in folder.iterdir())
    done = _run(["-c", _FICKLING, *names], folder, seconds)
    if done.returncode:
        raise Unmeasured(f"fickling ended with code {done.returncode}: {done.stderr[-200:].strip()}")
    return [f"{kind}: {what}" for kind, what in json.loads(done.stdout) if not what.startswith(_MISTAKEN)]


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


SCANNERS: Final[dict[str, Scanner]] = {"picklescan": _picklescan, "modelscan": _modelscan, "fickling": _fickling}
