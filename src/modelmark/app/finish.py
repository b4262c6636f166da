"""The process behind an act: `python -m modelmark.app.finish WORKSPACE`. Exit code 1: something is left, and noted."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from modelmark.app.container import Container


def main() -> int:
    root = Path(sys.argv[1])
    if not root.is_dir():
        return 1  # moved away meanwhile: to open it would make another
    os.nice(10)  # nobody waits for it, and others answer predictions
    return 0 if Container.open(workspace=root).finish() else 1


if __name__ == "__main__":
    raise SystemExit(main())
