"""Model servers that people have, each in an environment of its own, serving the scikit-learn object: `python _own.py NAME PORT
WORKERS FOLDER ESTIMATOR`, in that environment. Only the standard library is imported before the server's own."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

COLUMNS = 30


def mlflow(port: int, workers: int, folder: Path, estimator: Path) -> None:
    import joblib
    import mlflow.sklearn

    saved = folder / "saved"
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # it starts `uvicorn` by its name
    mlflow.sklearn.save_model(
        joblib.load(estimator), saved, pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle"
    )
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        str(saved),
        "-p",
        str(port),
        "--env-manager",
        "local",
    ]
    os.execv(sys.executable, [*command, "--workers", str(workers)])


def mlserver(port: int, workers: int, folder: Path, estimator: Path) -> None:
    ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    settings = {"debug": False, "host": "127.0.0.1", "parallel_workers": workers if workers > 1 else 0, **ports}
    model = {"name": "m", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": str(estimator)}}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    program = str(Path(sys.executable).with_name("mlserver"))
    os.execv(program, [program, "start", str(folder)])


BENTO = """
import bentoml, joblib
import numpy as np

@bentoml.service(workers={workers})
class Peer:
    def __init__(self) -> None:
        self.estimator = joblib.load({estimator!r})

    @bentoml.api
    def predict(self, rows: list[list[float]]) -> list[list[float]]:
        return self.estimator.predict_proba(np.array(rows)).tolist()
"""


def bentoml(port: int, workers: int, folder: Path, estimator: Path) -> None:
    (folder / "service.py").write_text(BENTO.format(workers=workers, estimator=str(estimator)))
    os.environ |= {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "home")}
    os.chdir(folder)
    command = [sys.executable, "-m", "bentoml", "serve", "service:Peer", "--port", str(port), "--host", "127.0.0.1"]
    os.execv(sys.executable, command)


LIT = """
import joblib
import litserve as ls
import numpy as np


class Peer(ls.LitAPI):
    def setup(self, device):
        self.estimator = joblib.load({estimator!r})

    def decode_request(self, request):
        return np.array(request["rows"])

    def predict(self, rows):
        return self.estimator.predict_proba(rows)

    def encode_response(self, scores):
        return {{"predictions": scores.tolist()}}


if __name__ == "__main__":
    server = ls.LitServer(Peer(), accelerator="cpu", workers_per_device={workers}, timeout=60)
    server.run(port={port}, host="127.0.0.1", log_level="error", generate_client_file=False, num_api_servers=1)
"""


def litserve(port: int, workers: int, folder: Path, estimator: Path) -> None:
    program = folder / "peer.py"
    program.write_text(LIT.format(port=port, workers=workers, estimator=str(estimator)))
    os.execv(sys.executable, [sys.executable, str(program)])


def triton(port: int, workers: int, folder: Path, estimator: Path) -> None:
    import joblib
    import numpy as np
    from pytriton.decorators import batch  # type: ignore[import-not-found]
    from pytriton.model_config import ModelConfig, Tensor  # type: ignore[import-not-found]
    from pytriton.triton import Triton, TritonConfig  # type: ignore[import-not-found]

    for part in ("numeric", "multiarray", "_multiarray_umath", "umath"):  # its numpy is older than the estimator's
        sys.modules.setdefault(f"numpy._core.{part}", importlib.import_module(f"numpy.core.{part}"))

    def serving() -> Any:
        model = joblib.load(estimator)

        @batch  # type: ignore[untyped-decorator]
        def infer(rows: Any) -> list[Any]:
            return [model.predict_proba(rows)]

        return infer

    config = TritonConfig(http_port=port, grpc_port=port + 1, metrics_port=port + 2, http_address="127.0.0.1")
    with Triton(config=config, workspace=str(folder / "workspace")) as server:
        server.bind(
            "m", [serving() for _ in range(workers)], inputs=[Tensor(name="rows", dtype=np.float64, shape=(COLUMNS,))],
            outputs=[Tensor(name="scores", dtype=np.float64, shape=(2,))], config=ModelConfig(max_batch_size=1024),
        )  # fmt: skip
        server.serve()


PEERS = {"mlflow": mlflow, "mlserver": mlserver, "bentoml": bentoml, "litserve": litserve, "triton": triton}

if __name__ == "__main__":
    name, port, workers, folder, estimator = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    PEERS[name](int(port), int(workers), Path(folder), Path(estimator))
