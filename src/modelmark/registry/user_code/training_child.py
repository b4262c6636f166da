"""The process in which people's own training runs: `python -s -P -B -m modelmark.registry.user_code.training_child SCRATCH`.

It works in a copy of the contract's folder, without a network where the kernel grants that, under limits. A function gets
the table and the seed, and what it returns is saved; a command gets their places.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from modelmark.domain.training import FUNCTION
from modelmark.registry import namespaces, sandbox_child

MODEL: Final = "model.joblib"


def main(scratch: Path) -> int:
    """Arm, train, report: the exit code."""
    namespaces.die_with_parent()
    isolated = namespaces.cut_network()
    request = json.loads((scratch / "request.json").read_bytes())
    sandbox_child.limit(
        memory_bytes=request["memory_bytes"], cpu_seconds=request["cpu_seconds"], file_bytes=request["file_bytes"]
    )
    out = scratch / "out"
    entry, table, seed = str(request["entry"]), str(request["table"]), int(request["seed"])
    code = _call(entry, table, seed, out) if FUNCTION.fullmatch(entry) else _run(entry, table, seed, out)
    (scratch / "result.json").write_text(json.dumps({"network_cut": isolated}), encoding="utf-8")
    return code


def _call(entry: str, table: str, seed: int, out: Path) -> int:
    import joblib
    import numpy as np
    import pandas as pd

    name, _, function = entry.partition(":")
    folder = Path.cwd() / Path(name).parent
    sys.path.insert(0, str(Path.cwd()))
    sys.path.insert(0, str(folder))
    random.seed(seed)
    np.random.seed(seed)
    train = getattr(importlib.import_module(Path(name).stem), function)
    found: Any = train(pd.read_parquet(table), seed)
    if found is None:
        raise SystemExit(f"{entry} returned no model")
    if isinstance(found, Path):
        (out / found.name).write_bytes(found.read_bytes())
    else:
        joblib.dump(found, out / MODEL)
    return 0


def _run(entry: str, table: str, seed: int, out: Path) -> int:
    """The environment of the child, and the Python it runs in first on its path."""
    places = {"{train}": table, "{out}": str(out), "{seed}": str(seed)}
    words = shlex.split(entry)
    for place, value in places.items():
        words = [word.replace(place, value) for word in words]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(words, check=False, env={**os.environ, "PATH": path}).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
