"""Nothing tells anybody of a run: no device's id, no store of events is left where a library would send them from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUNS_A_GRAPH = """
import onnx, onnxruntime
from onnx import TensorProto, helper
x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy")
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": [1.0]})
"""
WAYS = {
    "the command line": "import sys; sys.argv = ['modelmark', '--help']\nfrom modelmark.cli import main\n"
    "try:\n    main()\nexcept SystemExit:\n    pass\n",
    "a container": "from modelmark.app.container import Container\nContainer.open({'MODELMARK_WORKSPACE': 'here'})\n",
    "a child of the sandbox": (
        "import os; from modelmark.sandbox.environment import environment\nos.environ.update(environment())\n"
    ),
}


def left_behind(home: Path, code: str) -> list[str]:
    home.mkdir()
    plain = {"PATH": os.environ["PATH"], "HOME": str(home)}  # where `CI` is set, it holds its tongue by itself
    command = [sys.executable, "-c", code + RUNS_A_GRAPH]
    done = subprocess.run(command, env=plain, cwd=home, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return [p.name for p in home.rglob("*onnxruntime*")]


@pytest.mark.parametrize("way", WAYS)
def test_onnx_runtime_keeps_and_sends_nothing(tmp_path: Path, way: str) -> None:
    if not left_behind(tmp_path / "plain", ""):
        pytest.skip("ONNX Runtime keeps nothing here by itself: nothing can be shown")
    assert left_behind(tmp_path / "ours", WAYS[way]) == []
