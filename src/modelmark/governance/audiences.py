"""What each role reads of the evidence, most important first: where it signs, and in release notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelmark.domain.people import Role

GATES: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.PRODUCT: ("objective", "holdout", "slices"),
    Role.RISK: ("fairness", "calibration", "explanation", "robustness", "behaviour", "slices"),
    Role.OPERATIONS: ("load", "replay", "edge_cases"),
    Role.DATA_SCIENCE: ("data_contract", "leakage", "holdout", "explanation"),
    Role.ENGINEERING: ("tests", "parity", "edge_cases", "supply_chain", "load"),
}
