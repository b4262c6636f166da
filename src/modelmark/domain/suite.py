"""People's own tests: what is to be run, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """folder: that of the contract; path: the suite in it, relative. modules: files whose coverage counts, relative;
    empty: every module of the folder that was imported. seconds, memory_bytes: what the run may take."""

    folder: Path
    path: str
    modules: tuple[str, ...]
    seconds: float
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTest:
    """name: as pytest writes it. why: its last line."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredModule:
    """statements, missed: counts of one file, named relative to the folder."""

    name: str
    statements: int
    missed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """trouble: why there is nothing to judge (it crashed, took too long, could not be collected); empty when it ran.

    network_cut: whether the kernel granted a network namespace, so that no test could reach anything.
    """

    passed: int = 0
    skipped: int = 0
    failed: tuple[FailedTest, ...] = ()
    coverage: tuple[CoveredModule, ...] = ()
    seconds: float = 0.0
    network_cut: bool = False
    trouble: str = ""
