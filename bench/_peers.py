"""Model servers that people have, beside ours in `bench/serving.py`: an environment each, how each is asked, what it answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
#: Made once; not in the repository.
ENVIRONMENTS: Final = ROOT / ".peers"
#: How long an environment may take to install, and a server to begin, in seconds.
INSTALL: Final = 900
START: Final = 90.0


@dataclass(frozen=True)
class OwnServer:
    """requirements: pinned. path: where it is asked. body: of rows, as lists. answers: its probabilities, a list a row."""

    requirements: tuple[str, ...]
    path: str
    body: Callable[[list[list[float]]], Any]
    answers: Callable[[Any], Any]


def _v2(name: str, **more: Any) -> Callable[[list[list[float]]], Any]:
    def body(rows: list[list[float]]) -> Any:
        tensor = {
            "name": name,
            "shape": [len(rows), len(rows[0])],
            "datatype": "FP64",
            "data": [v for row in rows for v in row],
        }
        return {"inputs": [tensor], **more}

    return body


def _pairs(found: Any) -> Any:
    data = found["outputs"][0]["data"]
    return [data[at : at + 2] for at in range(0, len(data), 2)]


_SKLEARN: Final = "scikit-learn==1.9.1"
OWN: Final = {
    "mlflow": OwnServer(
        ("mlflow==3.17.2", _SKLEARN), "/invocations", lambda rows: {"inputs": rows}, lambda found: found["predictions"]
    ),
    "mlserver": OwnServer(
        ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", _SKLEARN), "/v2/models/m/infer",
        _v2("predict", outputs=[{"name": "predict_proba"}]), _pairs,
    ),
    "bentoml": OwnServer(("bentoml==1.4.40", _SKLEARN), "/predict", lambda rows: {"rows": rows}, lambda found: found),
    "litserve": OwnServer(
        ("litserve==0.2.19", _SKLEARN), "/predict", lambda rows: {"rows": rows}, lambda found: found["predictions"]
    ),
    "triton": OwnServer(("nvidia-pytriton==0.7.0", _SKLEARN), "/v2/models/m/infer", _v2("rows"), _pairs),
}  # fmt: skip


class NotInstalled(Exception):
    """Why a peer is not there, in one line."""


def python_of(name: str) -> Path:
    """The interpreter of a peer's environment, which is made where there is none. Raises NotInstalled."""
    folder, wanted = ENVIRONMENTS / name, "\n".join(OWN[name].requirements)
    python, mark = folder / "bin" / "python", folder / "installed"
    if mark.exists() and mark.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    ENVIRONMENTS.mkdir(exist_ok=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *OWN[name].requirements]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, text=True)
        subprocess.run(install, check=True, capture_output=True, text=True, timeout=INSTALL)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"could not be installed: it took more than {INSTALL} s") from None
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.startswith("ERROR")] or error.stderr.splitlines()
        raise NotInstalled(f"could not be installed: {lines[-1] if lines else error}") from None
    mark.write_text(wanted)
    return python


def command(name: str, port: int, workers: int, folder: Path, estimator: Path) -> list[str]:
    """What starts it. Raises NotInstalled."""
    program = ROOT / "bench" / "peers" / "_own.py"
    return [str(python_of(name)), str(program), name, str(port), str(workers), str(folder / name), str(estimator)]


def bodies(name: str, lists: Sequence[bytes]) -> list[bytes]:
    """The same rows as in `{"rows": [...]}`, as this one is asked."""
    return [json.dumps(OWN[name].body(json.loads(each)["rows"])).encode() for each in lists]
