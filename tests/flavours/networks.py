"""Small networks and the tables that they answer, for tests in the environment that has PyTorch and Keras."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import torch

from modelmark.domain.contract import Contract, Data, DataType, HowItRuns, Input, ModelSource, Objective, Outputs
from modelmark.domain.metrics import Metric, Task

NAMES = ["a", "b", "c", "d"]


def table(rows: int, seed: int, names: list[str] = NAMES) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    found = pd.DataFrame(draw.normal(size=(rows, len(names))), columns=names)
    found["y"] = (found[names[0]] + found[names[1]] > 0).astype(int)
    return found


def contract(source: str, names: list[str] = NAMES, classes: int = 2, run: HowItRuns = HowItRuns.CONVERTED) -> Contract:
    """classes: 0 for a regression."""
    task = {0: Task.REGRESSION, 2: Task.BINARY}.get(classes, Task.MULTICLASS)
    outputs = Outputs(classes=tuple(range(classes)), positive=1 if classes == 2 else None)
    return Contract(
        modelmark=1,
        name="network",
        model=ModelSource(source=source, task=task, run=run),
        data=Data(train="train.csv", holdout="holdout.csv", target="y"),
        inputs=tuple(Input(name=name, type=DataType.NUMBER, minimum=-9, maximum=9) for name in names),
        outputs=outputs,
        objective=Objective(metric=Metric.ACCURACY if classes else Metric.MAE),
    )


def torch_network(width: int, classes: int) -> torch.nn.Module:
    torch.manual_seed(0)
    last = {0: [], 1: [torch.nn.Sigmoid()]}.get(classes, [torch.nn.Softmax(-1)])
    return torch.nn.Sequential(
        torch.nn.Linear(width, 8), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(8, max(classes, 1)), *last
    ).eval()


def torch_image() -> torch.nn.Module:
    torch.manual_seed(0)
    first = [torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten()]
    return torch.nn.Sequential(*first, torch.nn.Linear(144, 3), torch.nn.Softmax(-1)).eval()


def exported(module: torch.nn.Module, shape: tuple[int, ...], *, dynamic: bool = True) -> torch.export.ExportedProgram:
    shapes = ({0: torch.export.Dim("rows")},) if dynamic else None
    return torch.export.export(module, (torch.zeros(3, *shape),), dynamic_shapes=shapes)


def keras_network(width: int, classes: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    last = {0: "linear", 1: "sigmoid"}.get(classes, "softmax")
    layers = [keras.layers.Dense(8, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    return keras.Sequential(
        [keras.layers.Input((width,)), *layers, keras.layers.Dense(max(classes, 1), activation=last)]
    )


def keras_image() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten()]
    return keras.Sequential([keras.layers.Input((8, 8, 1)), *layers, keras.layers.Dense(3, activation="softmax")])
