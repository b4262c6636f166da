"""Libraries we stand on that would tell their makers of every run: asked not to, before they are imported."""

from __future__ import annotations

import os
from typing import Final

#: ONNX Runtime writes a device's id and a database below the home folder, and sends from them. Children get these as well.
OFF: Final = {
    "ORT_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "true",
}


def switch_off() -> None:
    """For this process and the ones it starts. Who has set one of them already has decided."""
    for name, value in OFF.items():
        os.environ.setdefault(name, value)
