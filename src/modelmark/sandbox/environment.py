"""What a process that runs code which is not ours finds in its environment."""

from __future__ import annotations

from modelmark.domain import telemetry


def environment() -> dict[str, str]:
    """Nothing of ours: no tokens, no addresses, no library paths."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "JOBLIB_MULTIPROCESSING": "0",
        **telemetry.OFF,
        **dict.fromkeys(threads, "1"),
    }
