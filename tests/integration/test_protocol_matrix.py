"""Every kind of model over every protocol, each by its own client: the answers of the author's object, and errors that it reads.

docs/protocols.md shows what was found here; `--update-goldens` writes it anew.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import serving_case as case
from child_here import sandbox_here
from foreign_clients import asked
from modelmark import Client
from modelmark.domain.contract import HowItRuns
from modelmark.domain.version import ONNX, ONNX_FILE, ORIGINAL, PYTHON, UPSTREAM, Signature
from modelmark.registry import sandbox
from modelmark.registry.convert import convert
from modelmark.serving import flavours
from modelmark.serving.supervisor import Supervisor, running

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocols.md"
NAMES = ["f0", "f1", "f2"]
FRAME = pd.DataFrame(np.random.default_rng(3).normal(size=(40, 3)).astype(np.float32).astype(float), columns=NAMES)
MISSING = "column f2 is missing"
#: Of float32 graphs; the labels must be equal.
TOLERANCE = 1e-6

#: The author's own class around what was trained.
CODE = """
from pathlib import Path

import joblib


class Kept:
    def __init__(self):
        self.model = joblib.load(Path(__file__).parent / "kept.pkl")

    def predict_proba(self, frame):
        return self.model.predict_proba(frame)

    def predict(self, frame):
        return self.model.predict(frame)
"""

Heard = tuple[list[int], np.ndarray, str]


def trained() -> Any:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 3)).astype(np.float32)
    return make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=10, random_state=0)).fit(
        pd.DataFrame(x, columns=NAMES), (x[:, 0] > x[:, 1]).astype(int)
    )


@contextmanager
def elsewhere(model: Any, folder: Path) -> Iterator[Path]:
    """The graph on a server of its own, and the file that says where."""
    version = case.build(folder / "elsewhere", case.contract(), case.converted(model, 3))
    case.release(version)
    with running(version.workspace) as server:
        place = folder / "upstream.yaml"
        place.write_text(f"protocol: v2\nurl: {server.address}\nmodel: churn\n")
        yield place


def built(flavour: str, model: Any, folder: Path, place: Path) -> case.Built:
    agreed, graph = case.contract(), None
    if flavour == UPSTREAM:
        found = convert(place, agreed, FRAME, limits=sandbox.Limits(), progress=lambda _: None)
        return case.build(folder / "w", agreed, flavour=flavour, files=found.files, signature=found.signature)
    if flavour in (ORIGINAL, PYTHON):
        given = folder / "given"
        given.mkdir()
        (given / "kept.pkl").write_bytes(pickle.dumps(model))
        (given / "model.py").write_text(CODE)
        agreed = replace(agreed, model=replace(agreed.model, run=HowItRuns.ISOLATED))
        source = given if flavour == PYTHON else given / "kept.pkl"
        with sandbox_here():
            found = convert(source, agreed, FRAME, limits=sandbox.Limits(), progress=lambda _: None)
        return case.build(folder / "w", agreed, flavour=flavour, files=found.files, signature=found.signature)
    graph = case.converted(model, 3)
    silent = Signature(feeds=(), score_output="probabilities") if flavour == ONNX_FILE else None
    return case.build(folder / "w", agreed, graph, flavour=flavour, signature=silent)


def refused(ask: Callable[[], Any]) -> str:
    with pytest.raises(Exception) as caught:  # every client has an error of its own
        ask()
    return str(caught.value)


def native(server: Supervisor) -> Heard:
    rows = FRAME.to_dict("records")
    with Client(server.address) as client:
        told = client.predict("churn", rows)
        error = refused(lambda: client.predict("churn", [{"f0": 1.0, "f1": 2.0}]))
    shares = [[one.probabilities["0"], one.probabilities["1"]] for one in told.answers]
    return [one.label for one in told.answers], np.array(shares), error


def tensors(kind: Any, names: list[str], **how: Any) -> list[Any]:
    found = []
    for name in names:
        tensor = kind.InferInput(name, [len(FRAME), 1], "FP64")
        tensor.set_data_from_numpy(FRAME[[name]].to_numpy(), **how)
        found.append(tensor)
    return found


def v2(kind: Any, address: str, *, binary: bool | None) -> Heard:
    how = {} if binary is None else {"binary_data": binary}
    outputs = [kind.InferRequestedOutput(name, **how) for name in ("label", "probabilities")]
    with kind.InferenceServerClient(address) as client:
        told = client.infer("churn", tensors(kind, NAMES, **how), outputs=outputs)
        error = refused(lambda: client.infer("churn", tensors(kind, NAMES[:2], **how)))
    return told.as_numpy("label").tolist(), told.as_numpy("probabilities"), error


def mlflow(server: Supervisor) -> Heard:
    client = ScoringServerClient("127.0.0.1", server.port)
    labels = client.invoke(FRAME).get_predictions().iloc[:, 0].tolist()
    shares = client.invoke(FRAME, params={"predict_method": "predict_proba"}).get_predictions().to_numpy()
    return labels, shares, refused(lambda: client.invoke(FRAME[NAMES[:2]]))


TENSORFLOW = """
import json, sys
import numpy as np
from ovmsclient import make_grpc_client, make_http_client

columns, told = json.loads(sys.argv[3]), []
for client in (make_http_client(sys.argv[1]), make_grpc_client(sys.argv[2])):
    found = client.predict({name: np.array(values)[:, None] for name, values in columns.items()}, "churn")
    try:
        client.predict({"f0": [1.0], "f1": [2.0]}, "churn")
    except Exception as error:
        told.append([found["label"].tolist(), found["probabilities"].tolist(), str(error)])
print(json.dumps(told))
"""


def tensorflow(server: Supervisor) -> list[Heard]:
    columns = json.dumps(FRAME.to_dict("list"))
    told = asked("ovmsclient", TENSORFLOW, f"127.0.0.1:{server.port}", str(server.grpc_address), columns)
    return [(labels, np.array(shares), error) for labels, shares, error in told]


def heard(server: Supervisor) -> dict[str, Heard]:
    address = f"127.0.0.1:{server.port}"
    rest, grpc = tensorflow(server)
    return {
        "native": native(server),
        "v2 REST, JSON": v2(triton, address, binary=False),
        "v2 REST, binary": v2(triton, address, binary=True),
        "v2 gRPC": v2(triton_grpc, server.grpc_address or "", binary=None),
        "TensorFlow Serving REST": rest,
        "TensorFlow Serving gRPC": grpc,
        "MLflow": mlflow(server),
    }


def cell(told: Heard, labels: list[int], shares: np.ndarray) -> str:
    """How it went."""
    if told[0] != labels:
        return "other labels"
    if told[1].shape != shares.shape or np.abs(told[1] - shares).max() > TOLERANCE:
        return "other probabilities"
    return "same" if MISSING in told[2] else "unreadable error"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    model, table = trained(), {}
    labels, shares = model.predict(FRAME).tolist(), model.predict_proba(FRAME)
    with elsewhere(model, tmp_path_factory.mktemp("elsewhere")) as place:
        for flavour in flavours.BUILTIN:
            version = built(flavour, model, tmp_path_factory.mktemp(flavour), place)
            case.release(version)
            with running(version.workspace, grpc_port=0) as server:
                table[flavour] = {name: cell(told, labels, shares) for name, told in heard(server).items()}
    return table


def rendered(table: dict[str, dict[str, str]]) -> str:
    names = list(next(iter(table.values())))
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    lines += [f"| `{flavour}` | {' | '.join(row[name] for name in names)} |" for flavour, row in table.items()]
    return "\n".join(lines)


def test_every_protocol_answers_every_kind_of_model_as_its_author_s_object_does(found):
    assert set(found) == set(flavours.BUILTIN) >= {ONNX, ONNX_FILE, ORIGINAL, PYTHON, UPSTREAM}
    assert {
        (flavour, name, how) for flavour, row in found.items() for name, how in row.items() if how != "same"
    } == set()


def test_the_page_shows_what_was_found(found, update_goldens: bool):
    text = PAGE.read_text("utf-8")
    head, _, rest = text.partition("<!-- the matrix -->\n")
    _, _, tail = rest.partition("<!-- the end of the matrix -->\n")
    whole = f"{head}<!-- the matrix -->\n{rendered(found)}\n<!-- the end of the matrix -->\n{tail}"
    if update_goldens:
        PAGE.write_text(whole, "utf-8")
    assert PAGE.read_text("utf-8") == whole
