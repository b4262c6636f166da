"""What is released, in the forms of other servers and of clusters."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from modelmark.domain.contract import Contract
from modelmark.domain.errors import Conflict, Missing, Rejected
from modelmark.domain.ports import ArtifactStore
from modelmark.domain.routes import Snapshot
from modelmark.domain.version import ARTIFACT, LOCK
from modelmark.domain.workspace import Workspace
from modelmark.registry.export import image, prometheus, ray_serve, triton
from modelmark.seal.keys import PUBLIC, Verifier
from modelmark.seal.mark import Marked, open_marked
from modelmark.seal.snapshot import read_snapshot

#: Where the endpoint is by default.
TARGET: Final = "127.0.0.1:8080"


class Form(StrEnum):
    """IMAGE: a folder that an image is built from, with what Kubernetes and KServe are told. TRITON: a model repository.
    RAY_SERVE: a folder that Ray Serve runs. PROMETHEUS: alerts and dashboards for a team's own. GRAFANA: dashboards alone.
    TENSORFLOW_SERVING: there is none, and it is said why."""

    IMAGE = "image"
    TRITON = "triton"
    RAY_SERVE = "ray-serve"
    PROMETHEUS = "prometheus"
    GRAFANA = "grafana"
    TENSORFLOW_SERVING = "tensorflow-serving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """models: by name, the label of each version that is in it. files: paths in the folder."""

    folder: str
    form: Form
    models: Mapping[str, tuple[str, ...]]
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRelease:
    workspace: Workspace
    artifacts: ArtifactStore
    verifier: Callable[[], Verifier]

    def __call__(self, out: Path, form: Form, *, model: str | None = None) -> Exported:
        """model: of a Triton repository, that one alone; the others take the signed snapshot, and so every model in it.

        Raises Missing where nothing serves, NoMark and Tampered as a worker does, Conflict where `out` holds something,
        Rejected for what the form cannot take.
        """
        if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
            raise Conflict(
                f"{out} is there already, and is not empty", code="EXISTS", field="--out", limit="a new folder"
            )
        if form is Form.TENSORFLOW_SERVING:
            raise _no_saved_model()
        snapshot = read_snapshot(self.workspace.snapshot, self.verifier())
        marked = self._marked(snapshot, model)
        found: Mapping[str, bytes]
        if form is Form.PROMETHEUS:
            found = prometheus.files(self._contracts(snapshot, marked), TARGET)
        elif form is Form.GRAFANA:
            found = prometheus.grafana_files(self._contracts(snapshot, marked))
        else:
            found = self._triton(marked) if form is Form.TRITON else self._folder(snapshot, marked, form)
        scratch = out.with_name(f".{out.name}.part")
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            for path, data in found.items():
                place = scratch / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
            if out.exists():
                out.rmdir()
            scratch.rename(out)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        models: dict[str, tuple[str, ...]] = {}
        for one in marked:
            models[one.version.model] = (*models.get(one.version.model, ()), one.version.label)
        return Exported(folder=str(out), form=form, models=models, files=tuple(sorted(found)))

    def _marked(self, snapshot: Snapshot, model: str | None) -> list[Marked]:
        """Every version that answers or stands in, verified."""
        routes = [route for route in snapshot.routes if model in (None, route.model)]
        if not routes:
            known = ", ".join(route.model for route in snapshot.routes) or "none"
            raise Missing(
                "nothing of that name is released", code="NOTHING_SERVES", field="--model", limit=f"serves: {known}"
            )
        ids = dict.fromkeys(
            id for route in routes for id in (*(arm.version for arm in route.arms), route.previous) if id is not None
        )
        return [open_marked(self.artifacts.folder(id), self.verifier(), expected=id) for id in ids]

    @staticmethod
    def _contracts(snapshot: Snapshot, marked: list[Marked]) -> dict[str, Contract]:
        """Of what serves now, by model."""
        known = {one.version.id: one.contract for one in marked}
        routes = [route for route in snapshot.routes if route.champion.version in known]
        return {route.model: known[route.champion.version] for route in routes}

    def _triton(self, marked: list[Marked]) -> Mapping[str, bytes]:
        found: dict[str, bytes] = {}
        for one in marked:
            graph = one.files.get(ARTIFACT, b"")
            found.update(triton.repository(one.version, one.contract, one.signature, graph))
        return found

    def _folder(self, snapshot: Snapshot, marked: list[Marked], form: Form) -> Mapping[str, bytes]:
        """What serves as this workspace does: all of it that is needed for that, and what runs it."""
        models = [route.model for route in snapshot.routes]
        kept: dict[str, bytes] = {
            f"workspace/{self.workspace.snapshot.name}": self.workspace.snapshot.read_bytes(),
            f"workspace/{self.workspace.keys.name}/{PUBLIC}": (self.workspace.keys / PUBLIC).read_bytes(),
        }
        locks = []
        for one in marked:
            folder = self.artifacts.folder(one.version.id)
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                name = f"workspace/{self.workspace.versions.name}/{folder.name}/{path.relative_to(folder).as_posix()}"
                kept[name] = path.read_bytes()
            locks.append((folder / LOCK).read_text("utf-8", "replace"))
        name = models[0] if len(models) == 1 else "modelmark"
        around = image.files(name, models, locks)
        if form is Form.RAY_SERVE:
            around = ray_serve.files(name, models, around["requirements.txt"])
        return {**kept, **around}


def _no_saved_model() -> Rejected:
    return Rejected(
        "TensorFlow Serving runs SavedModels alone, which are TensorFlow programs; what is released here is a graph of ONNX, the "
        "original itself, or on another server, and no program of TensorFlow answers as those do",
        code="NOT_A_SAVED_MODEL", field="--to", limit="image, triton, ray-serve, prometheus, grafana",
        hint="modelmark serve speaks TensorFlow Serving's protocol, REST and gRPC, so its clients need no change; "
        "modelmark export --to image runs anywhere",
    )  # fmt: skip
