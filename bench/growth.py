"""How the cost of the gates grows with the rows: `python bench/growth.py [--rows 50000 200000 800000]`.

Half of the rows to learn from, half held out, generated with a seed as bench/check.py does. Every gate that does not
measure time, one after another, each size in a process of its own. Printed: seconds per gate and size, the exponent
fitted to them (1 is linear; n log n over these sizes is about 1.08), and the peak memory of each process.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from _scratch import scratch_folder

sys.path.insert(0, str(Path(__file__).resolve().parent))

import check

HOUR = 3600


def one_size(rows: int, only: list[str]) -> dict[str, Any]:
    """init, register, then each gate alone on one case; seconds by gate and the peak in MB."""
    from modelmark.app.workbench import Workbench
    from modelmark.gates.runner import build
    from modelmark.registry.drafting.draft import draft_contract

    silent = lambda *_: None  # noqa: E731
    train, holdout, target = check.generated(rows)
    with scratch_folder() as name:
        folder = Path(name)
        train.to_csv(folder / "train.csv", index=False)
        holdout.to_csv(folder / "holdout.csv", index=False)
        joblib.dump(check.fit(train.head(100_000), target), folder / "model.joblib")
        del train, holdout
        app = Workbench.open({"MODELMARK_ACTOR": "ci"}, workspace=folder / ".modelmark")
        contract = folder / "modelmark.yaml"
        draft_contract(str(folder / "model.joblib"), train=folder / "train.csv", holdout=folder / "holdout.csv",
                       target=target, name="bench", out=contract, progress=silent)  # fmt: skip
        text = contract.read_text("utf-8")
        for pattern, line in (*check.ANSWERS, (r"sensitive: \[\]", "sensitive: [c1]")):
            text = re.sub(pattern, line, text, flags=re.MULTILINE)
        contract.write_text(text, "utf-8")
        began = time.perf_counter()
        version, _ = app.register(contract, progress=silent)
        seconds = {"register": time.perf_counter() - began}
        for gate in build(app.contract_of(version), only):
            if not gate.alone:
                # A command of its own, as people run one: each reads and scores the tables anew.
                began = time.perf_counter()
                app.check(version, contract, only=(gate.name,), progress=silent)
                seconds[gate.name] = time.perf_counter() - began
                print(f"{rows:,} rows: {gate.name} {seconds[gate.name]:.1f} s", file=sys.stderr, flush=True)
    return {"rows": rows, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "seconds": seconds}


def exponent(rows: list[int], seconds: list[float]) -> float:
    """The slope of log seconds over log rows; NaN for one size alone."""
    if len(rows) < 2:
        return math.nan
    return float(np.polyfit(np.log(rows), np.log(np.maximum(seconds, 1e-3)), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 200_000, 800_000])
    parser.add_argument("--only", nargs="+", default=[], metavar="GATE", help="these gates alone")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(one_size(given.child, given.only)))
        return
    found = []
    for rows in given.rows:
        done = subprocess.run(
            [sys.executable, __file__, "--child", str(rows), *(["--only", *given.only] if given.only else [])],
            stdout=subprocess.PIPE,
            text=True,
            timeout=HOUR,
            check=True,
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
    print(f"{'gate':<14}" + "".join(f"{each['rows']:>12,}" for each in found) + "   exponent")
    for gate in found[0]["seconds"]:
        seconds = [each["seconds"][gate] for each in found]
        print(f"{gate:<14}" + "".join(f"{s:12.1f}" for s in seconds) + f"{exponent(given.rows, seconds):11.2f}")
    print(f"{'peak MB':<14}" + "".join(f"{each['peak_mb']:>12,}" for each in found))


if __name__ == "__main__":
    main()
