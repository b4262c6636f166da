"""People's own training code: what it is asked, and what became of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: A function in a Python file beside the contract.
FUNCTION: Final = re.compile(r"[^\s:{}]+\.py:[A-Za-z_][A-Za-z_0-9]*")
#: What a command must name: where the table lies, and where the model belongs.
PLACES: Final = ("{train}", "{out}")


def is_entry(text: str) -> bool:
    """`FILE.py:FUNCTION`, or a command with {train} and {out}.

    >>> is_entry("fit.py:train"), is_entry("python fit.py {train} {out}"), is_entry("python fit.py")
    (True, True, False)
    """
    return bool(FUNCTION.fullmatch(text)) or all(place in text for place in PLACES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """folder: that of the contract, of which the code gets a copy. entry: as `retraining.entry`. table: the Parquet file to
    learn from. seconds, memory_bytes: what it may take, memory on top of its libraries."""

    folder: Path
    entry: str
    table: Path
    seed: int
    seconds: float
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """model: the file's bytes; name: what it is called, with the ending that says its kind. network_cut: whether the kernel
    granted an empty network."""

    model: bytes
    name: str
    seconds: float
    network_cut: bool
