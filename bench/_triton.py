"""A real Triton on one version's graph: `scripts/servers triton` fetches it. Of its backends there is Python alone, which runs the
same graph by an ONNX Runtime of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx2
from _endpoint import free_ports

ROOT: Final = Path(__file__).resolve().parent.parent
HOME: Final = ROOT / ".servers" / "triton"
START: Final = 60.0
MOST_ROWS: Final = 100

_CONFIG: Final = f"""\
name: "churn"
backend: "python"
max_batch_size: {MOST_ROWS}
input [
  {{ name: "f0" data_type: TYPE_FP64 dims: [ 1 ] }},
  {{ name: "f1" data_type: TYPE_FP64 dims: [ 1 ] }},
  {{ name: "f2" data_type: TYPE_FP64 dims: [ 1 ] }}
]
output [
  {{ name: "label" data_type: TYPE_INT64 dims: [ 1 ] }},
  {{ name: "probabilities" data_type: TYPE_FP64 dims: [ 2 ] }}
]
"""
_MODEL: Final = """\
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        graph = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])

    def execute(self, requests):
        return [self.answered(request) for request in requests]

    def answered(self, request):
        columns = [triton.get_input_tensor_by_name(request, name).as_numpy() for name in ("f0", "f1", "f2")]
        (shares,) = self.session.run(["probabilities"], {"X": np.column_stack(columns).astype(np.float32)})
        shares = shares.astype(np.float64)
        labels = (shares[:, 1:] >= 0.5).astype(np.int64)
        return triton.InferenceResponse([triton.Tensor("label", labels), triton.Tensor("probabilities", shares)])
"""


def is_here() -> bool:
    return HOME.is_dir()


class Triton:
    """Serves the graph as version 1 of `churn`; started anew where a request ended it. rest, grpc: its addresses."""

    def __init__(self, graph: bytes, folder: Path) -> None:
        self._server = next(HOME.glob("lib/python3*/site-packages/pytriton/tritonserver"))
        self._models, self._log = folder / "models", folder / "log"
        made = {"config.pbtxt": _CONFIG.encode(), "1/model.py": _MODEL.encode(), "1/model.onnx": graph}
        for name, data in made.items():
            path = self._models / "churn" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        stub = self._server / "backends" / "python" / "triton_python_backend_stub"  # its libraries are found from there
        if not stub.exists():
            number = f"{sys.version_info.major}.{sys.version_info.minor}"
            shutil.copy(self._server / "python_backend_stubs" / number / stub.name, stub)
        for program in (stub, self._server / "bin" / "tritonserver"):
            program.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        rest, grpc = free_ports(2)
        command = [
            str(self._server / "bin" / "tritonserver"), "--model-repository", str(self._models),
            "--backend-directory", str(self._server / "backends"), "--http-address", "127.0.0.1",
            "--grpc-address", "127.0.0.1", "--http-port", str(rest), "--grpc-port", str(grpc), "--allow-metrics", "false",
        ]  # fmt: skip
        paths = {"PATH": f"{HOME / 'bin'}:/usr/bin:/bin"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=paths, stdout=log, stderr=log, start_new_session=True)
        self.rest, self.grpc = f"http://127.0.0.1:{rest}", f"127.0.0.1:{grpc}"
        self._wait(self._process)

    @property
    def ended(self) -> bool:
        """A request ended it, as it may in the next moment."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        return self._process.returncode is not None

    def revive(self) -> None:
        self.close()
        self.start()

    def close(self) -> None:
        """All of its group: what ended badly leaves the process of its model behind."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(60)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + START
        while time.monotonic() < until and process.poll() is None:
            try:
                if httpx2.get(f"{self.rest}/v2/models/churn/ready").status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.1)
        raise RuntimeError(f"Triton did not start: {self._log.read_text('utf-8', 'replace')[-2000:]}")
