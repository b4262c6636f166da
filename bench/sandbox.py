"""Every hostile model file of tests/hostile.py through `register`: `python bench/sandbox.py [--only WORD] [--first N]`.

Prints a line for each: the verdict, the seconds until it, what it did to bystanders (nothing, or the bench ends with 1).
Seconds include the child's loading of libraries; memory is the growth of this process's peak, in MiB.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import hostile
from modelmark.domain.errors import ModelmarkError
from modelmark.registry.register import register


def verdict(case: Any, there: Any) -> tuple[str, str]:
    """(code, message); CRASH for what is no error of ours."""
    try:
        register(hostile.contract_of(f"models/{case.file}"), hostile.registration(there))
    except ModelmarkError as error:
        hostile.assert_never_shown(error)
        return error.code, error.message
    except Exception as error:  # noqa: BLE001 - the bench shows whatever gets through
        return "CRASH", f"{type(error).__name__}: {error}"
    return "REGISTERED", "it became a version"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--first", type=int, default=10_000)
    words = parser.parse_args()
    chosen = [case for case in hostile.cases() if words.only in str(case)][: words.first]
    codes: Counter[str] = Counter()
    bad, grown, slowest = 0, 0, 0.0
    with tempfile.TemporaryDirectory() as folder, hostile.bystanders(Path(folder)) as there:
        for case in chosen:
            place = there.base / "models"
            place.mkdir()
            case.write(place / case.file, there)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            started = time.perf_counter()
            code, said = verdict(case, there)
            seconds = time.perf_counter() - started
            grown = max(grown, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
            shutil.rmtree(place)
            harmed = there.harmed()
            bad += bool(harmed) or code in ("CRASH", "CRASHED", "REGISTERED")
            codes[code] += 1
            slowest = max(slowest, seconds)
            print(f"{seconds:6.2f} s  {code:18} {case!s:60} {'; '.join(harmed) or said[:100]}", flush=True)
    print(
        f"{len(chosen)} files, {bad} got through; slowest {slowest:.1f} s; we grew by {grown / 1024:.0f} MiB; {dict(codes)}"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
