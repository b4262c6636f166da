"""Networks of PyTorch and Keras from the file to what serves: the same answers, row by row, as the network's own."""

from __future__ import annotations

from pathlib import Path

import keras
import networks
import numpy as np
import pytest
import torch
from networks import NAMES

from child_here import sandbox_here
from modelmark.contract.rows import RowCodec
from modelmark.contract.table import rows_of
from modelmark.domain import errors
from modelmark.domain.contract import HowItRuns
from modelmark.domain.version import ONNX, ORIGINAL
from modelmark.gates.supply_chain import formats
from modelmark.registry import sandbox
from modelmark.registry.convert import Conversion, convert
from modelmark.registry.drafting.draft import draft_contract
from modelmark.registry.drafting.inspect import inspect
from modelmark.registry.register import lock
from modelmark.serving.execution import Execution
from modelmark.serving.flavours import Model

PIXELS = [f"pixel_{at}" for at in range(64)]
ROWS = 10_000


def taken(path: Path, contract, rows: int = 300) -> Conversion:
    names = [item.name for item in contract.inputs]
    return convert(
        path, contract, networks.table(rows, 2, names), train=networks.table(200, 1, names), limits=sandbox.Limits(),
        progress=lambda _: None,
    )  # fmt: skip


def served(found: Conversion, contract, frame) -> np.ndarray:
    codec = RowCodec(contract, found.signature)
    numeric = [column.name for column in codec.numeric]
    model = Model(found.flavour, found.files, found.signature)
    execution = Execution.of(model, numeric=numeric, textual=[], deadline=1.0)
    parts = (rows_of(frame[at : at + 1000], contract) for at in range(0, len(frame), 1000))
    batches = (codec.batch(codec.from_mappings(part)) for part in parts)
    return np.concatenate([execution.run(batch.numbers, batch.texts) for batch in batches])


def saved_torch(module, path: Path, shape: tuple[int, ...] = (4,), *, dynamic: bool = True) -> Path:
    torch.export.save(networks.exported(module, shape, dynamic=dynamic), path)
    return path


def saved_keras(model, path: Path) -> Path:
    model.save(path)
    return path


def of_torch(module, shape=(4,)):
    def answers(rows):
        with torch.no_grad():
            return module(torch.from_numpy(rows.copy()).reshape(-1, *shape)).numpy()

    return answers


def of_keras(model, shape=(4,)):
    return lambda rows: np.asarray(model.predict(rows.reshape(-1, *shape), verbose=0))


CASES = {
    "torch, three classes": (3, NAMES, lambda p: (m := networks.torch_network(4, 3), saved_torch(m, p / "m.pt2"))),
    "torch, one sigmoid": (2, NAMES, lambda p: (m := networks.torch_network(4, 1), saved_torch(m, p / "m.pt2"))),
    "torch, a value": (0, NAMES, lambda p: (m := networks.torch_network(4, 0), saved_torch(m, p / "m.pt2"))),
    "torch, an image": (3, PIXELS, lambda p: (m := networks.torch_image(), saved_torch(m, p / "m.pt2", (1, 8, 8)))),
    "keras, three classes": (3, NAMES, lambda p: (m := networks.keras_network(4, 3), saved_keras(m, p / "m.keras"))),
    "keras, one sigmoid": (2, NAMES, lambda p: (m := networks.keras_network(4, 1), saved_keras(m, p / "m.keras"))),
    "keras, an image": (3, PIXELS, lambda p: (m := networks.keras_image(), saved_keras(m, p / "m.keras"))),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_ten_thousand_rows_are_answered_as_the_network_itself_does(tmp_path, case):
    classes, names, made = case
    model, path = made(tmp_path)
    frame = networks.table(ROWS, 3, names)
    frame.iloc[: ROWS // 10, 0] = np.float32(0.1) + np.arange(ROWS // 10) * 1e-7  # rows that lie close together
    shape = {"m.pt2": (1, 8, 8), "m.keras": (8, 8, 1)}[path.name] if names is PIXELS else (4,)
    answers = (of_torch if path.suffix == ".pt2" else of_keras)(model, shape)(frame[names].to_numpy(np.float32))
    expected = np.column_stack([1 - answers, answers]) if classes == 2 else answers
    contract = networks.contract(path.name, names, classes)
    with sandbox_here():
        found = taken(path, contract)
    assert (found.flavour, found.parity.flipped) == (ONNX, 0)
    scores = served(found, contract, frame)
    assert np.abs(scores - expected).max() < 1e-5
    assert classes == 0 or (scores.argmax(axis=1) == expected.argmax(axis=1)).all()


@pytest.mark.parametrize("kind", ["torch", "keras"])
def test_it_is_converted_behind_the_walls(tmp_path, kind):
    path = (
        saved_torch(networks.torch_network(4, 3), tmp_path / "m.bin")
        if kind == "torch"
        else saved_keras(networks.keras_network(4, 3), tmp_path / "m.keras").rename(tmp_path / "m.bin")
    )
    found = taken(path, networks.contract("m.bin", classes=3))
    assert (found.flavour, found.parity.flipped, found.missing) == (ONNX, 0, ())
    assert list(found.files) == ["model.onnx"], "no weights in other files"
    assert f"{kind}==" in lock(found.libraries).decode()


def test_it_may_run_as_itself(tmp_path):
    model = networks.torch_network(4, 3)
    contract = networks.contract("m.pt2", classes=3, run=HowItRuns.ISOLATED)
    with sandbox_here():
        found = taken(saved_torch(model, tmp_path / "m.pt2"), contract)
    assert found.flavour == ORIGINAL
    frame = networks.table(50, 4)
    expected = of_torch(model)(frame[NAMES].to_numpy(np.float32))
    np.testing.assert_allclose(served(found, contract, frame), expected, atol=1e-6)


class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def keras_of(*layers):
    return keras.Sequential([keras.layers.Input((4,)), *layers, keras.layers.Dense(3, activation="softmax")])


REFUSED = {
    "a module": (lambda p: torch.save(networks.torch_network(4, 3), p), "NOT_A_MODEL", "a PyTorch module, pickled"),
    "a state_dict": (lambda p: torch.save(networks.torch_network(4, 3).state_dict(), p), "NOT_A_MODEL", "a PyTorch state_dict"),
    "TorchScript": (
        lambda p: torch.jit.save(torch.jit.trace(networks.torch_network(4, 3), torch.zeros(2, 4)), p), "NOT_A_MODEL", "TorchScript"
    ),
    "a fixed number of rows": (
        lambda p: saved_torch(networks.torch_network(4, 3), p, dynamic=False), "CONVERSION_FAILED", "takes 3 rows at a time"
    ),
    "a damaged program": (
        lambda p: p.write_bytes(saved_torch(networks.torch_network(4, 3), p).read_bytes().replace(b'"nodes"', b'"sedon"')),
        "NOT_A_MODEL", "torch cannot read the file"
    ),
    "a Lambda layer": (
        lambda p: keras_of(keras.layers.Lambda(lambda x: 2 * x)).save(k := p.with_suffix(".keras")) or k.rename(p),
        "FOREIGN_CODE", "holds Lambda"
    ),
    "a layer of one's own": (
        lambda p: keras_of(Doubled()).save(k := p.with_suffix(".keras")) or k.rename(p), "FOREIGN_CODE", "holds Doubled"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_network_to_serve_is_refused_by_name_with_the_way_on(tmp_path, make, code, said):
    make(tmp_path / "given")
    with sandbox_here(), pytest.raises(errors.Rejected, match=said) as refused:
        inspect(tmp_path / "given")
    assert refused.value.code == code
    assert refused.value.hint


def test_a_network_without_a_softmax_is_told_so(tmp_path):
    path = saved_torch(torch.nn.Linear(4, 3).eval(), tmp_path / "m.pt2")
    with sandbox_here(), pytest.raises(errors.Rejected, match="no probabilities: below 0, above 1") as refused:
        taken(path, networks.contract("m.pt2", classes=3))
    assert "softmax" in str(refused.value.hint)


def test_an_archive_that_unpacks_to_too_much_is_a_bomb(tmp_path):
    data = saved_torch(networks.torch_network(4, 3), tmp_path / "m.pt2").read_bytes()
    assert formats.content_of(data)[0] is formats.Format.TORCH
    with pytest.raises(errors.Rejected, match="unpacks to more than") as refused:
        formats.content_of(data, 1000)
    assert refused.value.code == "TOO_LARGE"


def test_init_drafts_a_contract_by_its_width(tmp_path):
    for name, seed in (("train", 1), ("holdout", 2)):
        networks.table(120, seed).to_csv(tmp_path / f"{name}.csv", index=False)
    path = saved_torch(networks.torch_network(4, 1), tmp_path / "model.pt2")
    with sandbox_here():
        drafted = draft_contract(
            str(path), train=tmp_path / "train.csv", holdout=tmp_path / "holdout.csv", target="y", name=None,
            out=tmp_path / "modelmark.yaml", progress=lambda *_: None,
        )  # fmt: skip
    assert (drafted.task, drafted.inputs) == ("binary", 4)
    assert drafted.rehearsal is not None
    assert (drafted.rehearsal.rows, drafted.rehearsal.flipped, drafted.rehearsal.obstacle) == (120, 0, None)
