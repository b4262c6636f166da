"""Networks of PyTorch and Keras from the files in which they keep themselves: asked like estimators, and exported to ONNX.

Keras computes with PyTorch here, so that one exporter does for both. Runs in the child only: their own code reads the bytes.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from modelmark.registry.original.adapted import Adapted
from modelmark.registry.refusal import Refusal

if TYPE_CHECKING:
    import numpy as np

#: Fixed, so that the same network gives the same bytes whatever PyTorch defaults to later.
OPSET: Final = 18
OUTPUT: Final = "scores"
#: What such a file's words say, so that its library is known to be needed.
TORCH: Final = "ExportedProgram"
KERAS: Final = "KerasModel"
_ROWS: Final = 4096  # at a time


class Network(Adapted):
    """One tensor in and one out. A row of the table is one row of the tensor, its columns in order: an image comes as its pixels,
    row by row, and is given its shape here."""

    def __init__(self, module: Any, shape: tuple[int, ...], dtype: Any) -> None:
        """module: PyTorch's. shape: of one row."""
        self._module, self._shape, self._dtype = module, shape, dtype
        self.n_features_in_ = math.prod(shape)

    def predict(self, table: Any) -> np.ndarray:
        """One number a row; of a classifier the most probable class."""
        import numpy as np

        if hasattr(self, "classes_"):
            chosen: np.ndarray = self.classes_[np.argmax(self.predict_proba(table), axis=1)]
            return chosen
        return self._answers(table)

    def predict_proba(self, table: Any) -> np.ndarray:
        return self.shares(self._answers(table))

    def _answers(self, table: Any) -> np.ndarray:
        import numpy as np
        import torch

        rows = np.asarray(table, dtype=np.float32)
        with torch.no_grad():
            parts = [
                self._told(torch.from_numpy(rows[at : at + _ROWS].copy())) for at in range(0, max(len(rows), 1), _ROWS)
            ]
        return np.concatenate(parts)

    def _told(self, rows: Any) -> np.ndarray:
        found = self._module(rows.to(self._dtype).reshape(-1, *self._shape))
        if isinstance(found, (tuple, list)) and len(found) == 1:
            (found,) = found
        if not hasattr(found, "detach"):
            raise Refusal("network_outputs")
        answers: np.ndarray = found.detach().numpy()
        return answers.astype("float64")

    def to_onnx(self, request: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
        """(the graph, its signature in plain form)."""
        import torch

        whole = _whole(self._module, self._shape, self._dtype, len(request["classes"]))
        rows = torch.export.Dim("rows")
        with _quiet():
            program = torch.export.export(
                whole, (torch.zeros(3, self.n_features_in_),), dynamic_shapes=({0: rows},), strict=False
            )
            made = torch.onnx.export(
                program, dynamo=True, verbose=False, external_data=False, opset_version=OPSET,
                input_names=["x"], output_names=[OUTPUT],
            )  # fmt: skip
        names = [item["name"] for item in request["inputs"]]
        feeds = [{"graph_input": "x", "columns": names, "dtype": "float32"}]
        return made.model_proto.SerializeToString(deterministic=True), {"feeds": feeds, "score_output": OUTPUT}


def from_torch(data: bytes) -> Network:
    """Of `torch.export.save`. Raises Refusal for a program of several tensors or of a fixed number of rows."""
    import torch

    with _quiet():
        program = torch.export.load(io.BytesIO(data))
    names = program.graph_signature.user_inputs
    tensors = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    if len(tensors) != 1 or not hasattr(tensors[0], "shape"):
        raise Refusal("network_inputs", numbers=[len(names)])
    rows, *shape = tensors[0].shape
    if isinstance(rows, int):
        raise Refusal("fixed_rows", numbers=[rows])
    return _named(TORCH)(program.module(), _fixed(shape), tensors[0].dtype)


def from_keras(data: bytes) -> Network:
    """Of `model.save("….keras")`. Raises Refusal for layers that are code of somebody's own, and as `from_torch`."""
    import torch
    from keras.src.saving import saving_lib

    with zipfile.ZipFile(io.BytesIO(data)) as file:
        _require_layers(json.loads(file.read("config.json")))
    with _quiet():
        # `keras.saving.load_model` takes a path alone, and calls this.
        model = saving_lib._load_model_from_fileobj(
            io.BytesIO(data), custom_objects=None, compile=False, safe_mode=True
        )
    shapes = model.input_shape
    if not isinstance(shapes, tuple) or not shapes or isinstance(shapes[0], (tuple, list)):
        raise Refusal("network_inputs", numbers=[len(shapes) if isinstance(shapes, (list, dict)) else 0])
    if shapes[0] is not None:
        raise Refusal("fixed_rows", numbers=[int(shapes[0])])
    model.eval()
    return _named(KERAS)(model, _fixed(shapes[1:]), torch.float32)


def _require_layers(config: Any) -> None:
    """Raises Refusal for a part of the model that is no class of Keras's own: safe mode would, in other words."""
    for part in _parts(config):
        if part["class_name"] == "Lambda":
            raise Refusal("keras_code", names=["Lambda"])
        if isinstance(part.get("module", 0), str | None) and not str(part["module"]).startswith(("keras", "builtins")):
            raise Refusal("keras_code", names=[str(part["class_name"])[:100]])


def _parts(config: Any) -> Iterator[Mapping[str, Any]]:
    waiting = [config]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("class_name"), str):
                yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _named(kind: str) -> type[Network]:
    return type(kind, (Network,), {})


def _fixed(shape: Collection[Any]) -> tuple[int, ...]:
    if not all(isinstance(size, int) for size in shape):
        raise Refusal("open_shape")
    return tuple(int(size) for size in shape)


def _whole(module: Any, shape: tuple[int, ...], dtype: Any, classes: int) -> Any:
    """The network from a table's row to a column for each class."""
    import torch

    class Whole(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.training = module, False  # a program can be told nothing

        def forward(self, x: Any) -> Any:
            found = self.inner(x.to(dtype).reshape(-1, *shape))
            found = found[0] if isinstance(found, (tuple, list)) else found
            found = found.reshape(x.shape[0], -1).to(torch.float32)
            return torch.cat([1 - found, found], dim=1) if classes == 2 and found.shape[1] == 1 else found

    return Whole()


def warm_up(names: Collection[str], *, exporting: bool) -> None:
    """Import and run what a network needs, and what exporting one does: after arming no library can be loaded."""
    if "keras" in names:
        os.environ["KERAS_BACKEND"] = "torch"
    if not {"torch", "keras"} & set(names):
        return
    # It asks where it might write; in here that is nowhere, and no folder need be made for it.
    tempfile.tempdir = os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.sep
    with contextlib.suppress(ImportError):  # whatever needs it is refused by name
        import torch

        torch.set_num_threads(1)
        if "keras" in names:
            sys.modules.setdefault("matplotlib", None)  # type: ignore[arg-type]  # Keras draws with it, and it writes
            import keras

            module: Any = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).eval()
        else:
            module = torch.nn.Linear(2, 1)
            with _quiet(), io.BytesIO() as file:
                torch.export.save(torch.export.export(module, (torch.zeros(3, 2),)), file)
                torch.export.load(io.BytesIO(file.getvalue()))
        network = Network(module, (2,), torch.float32)
        request = {"inputs": [{"name": "a"}, {"name": "b"}], "classes": []}
        network.predict([[0.0, 1.0]])
        if exporting:
            network.to_onnx(request)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    import logging

    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
