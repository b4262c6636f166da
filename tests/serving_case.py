"""Builds a marked version and a snapshot from a small scikit-learn pipeline, for tests and benchmarks of serving."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from modelmark.domain import version as names
from modelmark.domain.contract import (
    Contract,
    Data,
    DataType,
    Fallback,
    Input,
    ModelSource,
    Objective,
    Outputs,
    Serving,
)
from modelmark.domain.digest import Digest
from modelmark.domain.metrics import Metric, Task
from modelmark.domain.routes import Arm, Route, Snapshot
from modelmark.domain.version import Feed, Lineage, Parity, Signature, Version
from modelmark.domain.workspace import Workspace
from modelmark.seal import keys, manifest, mark
from modelmark.seal.digests import canonical, digest_bytes, digest_value, plain
from modelmark.seal.envelope import wrap
from modelmark.seal.files import replace_file
from modelmark.seal.snapshot import SNAPSHOT_TYPE

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NOTHING = digest_bytes(b"")


@dataclass(frozen=True)
class Built:
    """A version on disk."""

    workspace: Workspace
    id: Digest
    contract: Contract
    signature: Signature
    version: Version

    @property
    def folder(self) -> Path:
        return self.workspace.version(self.id)


def contract(
    *,
    name: str = "churn",
    task: Task = Task.BINARY,
    inputs: tuple[Input, ...] = (),
    outputs: Outputs | None = None,
    fallback: tuple[Fallback, ...] = (),
    serving: Serving | None = None,
    entity_key: str | None = None,
) -> Contract:
    return Contract(
        modelmark=1,
        name=name,
        model=ModelSource(source="model.joblib", task=task),
        data=Data(train="train.csv", holdout="holdout.csv", target="y", entity_key=entity_key),
        inputs=inputs or numbers(3),
        outputs=outputs or Outputs(classes=(0, 1), positive=1),
        objective=Objective(metric=Metric.ROC_AUC if task is Task.BINARY else Metric.RMSE),
        fallback=fallback,
        serving=serving or Serving(deadline_ms=5000),
    )


def numbers(count: int, low: float | None = -100.0, high: float | None = 100.0) -> tuple[Input, ...]:
    return tuple(Input(name=f"f{i}", type=DataType.NUMBER, minimum=low, maximum=high) for i in range(count))


def gradient_boosting(columns: int, *, seed: int = 0, trees: int = 10, regression: bool = False) -> bytes:
    """StandardScaler + gradient boosting of depth 3, as ONNX."""
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    draw = np.random.default_rng(seed)
    x = draw.normal(size=(400, columns)).astype(np.float32)
    score = x[:, 0] - x[:, 1]
    kind = GradientBoostingRegressor if regression else GradientBoostingClassifier
    model = make_pipeline(StandardScaler(), kind(n_estimators=trees, max_depth=3, random_state=seed))
    model.fit(x, score if regression else (score > 0).astype(int))
    return converted(model, columns)


def converted(model: Any, columns: int) -> bytes:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    options = (
        {} if hasattr(model, "predict") and not hasattr(model, "predict_proba") else {id(model): {"zipmap": False}}
    )
    proto = convert_sklearn(
        model, initial_types=[("X", FloatTensorType([None, columns]))], options=options, target_opset=17
    )
    return bytes(proto.SerializeToString())


def build(
    root: Path,
    agreed: Contract | None = None,
    artifact: bytes | None = None,
    *,
    number: int = 1,
    signature: Signature | None = None,
    marked: bool = True,
    flavour: str = names.ONNX,
    files: Mapping[str, bytes] | None = None,
    reference: bytes = b"{}",
    golden: names.GoldenRequests | None = None,
) -> Built:
    """Write a version's folder, with its mark unless told otherwise. files: the model's, where it is not one graph."""
    agreed = agreed or contract()
    regression = agreed.model.task is Task.REGRESSION
    columns = tuple(i.name for i in agreed.numeric())
    if files is None:
        files = {names.ARTIFACT: artifact or gradient_boosting(len(columns), seed=number, regression=regression)}
    signature = signature or Signature(
        feeds=(Feed(graph_input="X", columns=columns, dtype="float32"),),
        score_output="variable" if regression else "probabilities",
    )
    contents = {
        **files,
        names.CONTRACT: canonical(agreed),
        names.SIGNATURE: canonical(signature),
        names.LOCK: b"scikit-learn==1.9.1\n# %d\n" % number,
        names.REFERENCE: reference,
        **({} if golden is None else {names.GOLDEN: canonical(golden)}),
    }
    listed = manifest.listed(contents)
    components = manifest.components(listed, flavour)
    workspace = Workspace(root)
    version = Version(
        id=digest_value(components),
        model=agreed.name,
        number=number,
        components=components,
        lineage=Lineage(
            source="test", source_digest=NOTHING, train_digest=NOTHING, holdout_digest=NOTHING, git_commit=None
        ),
        parity=Parity(rows=1, flipped=0, max_difference=0.0),
        reference=digest_bytes(reference),
        created_at=NOW,
        registered_by="a test",
        files=listed,
    )
    folder = workspace.version(version.id)
    folder.mkdir(parents=True)
    for name, data in {**contents, names.DESCRIPTION: canonical(version)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    if marked:
        signer = keys.signer(workspace.keys)
        (folder / names.MARK).write_bytes(mark.issue(version, [], [], [], at=NOW, folder=folder, signer=signer))
    return Built(workspace, version.id, agreed, signature, version)


def release(
    *built: Built,
    sequence: int = 1,
    previous: Built | None = None,
    weights: tuple[float, ...] = (),
    beside: tuple[Built, ...] = (),
) -> None:
    """Sign a snapshot in which the first version is champion and others are canaries of it; an older one, too. beside:
    champions of other models."""
    workspace, model = built[0].workspace, built[0].contract.name
    shares = weights or (1.0, *(0.0 for _ in built[1:]))
    arms = tuple(
        Arm(version=b.id, name="champion" if i == 0 else "canary", weight=w)
        for i, (b, w) in enumerate(zip(built, shares, strict=True))
    )
    route = Route(model=model, arms=arms, previous=previous.id if previous else None)
    others = (
        Route(model=b.contract.name, arms=(Arm(version=b.id, name="champion", weight=1.0),), previous=None)
        for b in beside
    )
    snapshot = Snapshot(sequence=sequence, issued_at=NOW, routes=(route, *others))
    replace_file(workspace.snapshot, wrap(plain(snapshot), SNAPSHOT_TYPE, keys.signer(workspace.keys)))


def row(built: Built, value: float = 0.5) -> dict[str, Any]:
    """A row the contract accepts."""
    texts = {i.name: (i.categories or ("a",))[0] for i in built.contract.textual()}
    return {i.name: value for i in built.contract.numeric()} | texts


def renamed(agreed: Contract, **changes: Any) -> Contract:
    return dataclasses.replace(agreed, **changes)


def tensor(name: str, value: float) -> dict[str, Any]:
    """One number as the Open Inference Protocol has it."""
    return {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
