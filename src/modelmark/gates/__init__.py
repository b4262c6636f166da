"""Before release: each gate measures one thing about a candidate; `runner.run_gates` turns that into Evidence."""

from collections.abc import Mapping
from typing import Final

from modelmark.gates.calibration import Calibration
from modelmark.gates.data_contract import DataContract
from modelmark.gates.edge_cases import EdgeCases
from modelmark.gates.gate import GateKind
from modelmark.gates.holdout import Holdout
from modelmark.gates.leakage import Leakage
from modelmark.gates.load import Load
from modelmark.gates.objective import ObjectiveValue
from modelmark.gates.parity import ParityCheck
from modelmark.gates.slices import Slices

#: Spelled out, so `grep` finds every gate and mypy checks each against `Gate`. Names are those of contract.gates.
BUILTIN: Final[Mapping[str, GateKind]] = {
    "data_contract": DataContract,
    "holdout": Holdout,
    "edge_cases": EdgeCases,
    "parity": ParityCheck,
    "load": Load,
    "leakage": Leakage,
    "slices": Slices,
    "calibration": Calibration,
    "objective": ObjectiveValue,
}
