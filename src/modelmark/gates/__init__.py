"""Before release: each gate measures one thing about a candidate; `runner.run_gates` turns that into Evidence."""

from collections.abc import Mapping
from typing import Final

from modelmark.gates.behaviour import BehaviourTests
from modelmark.gates.calibration import Calibration
from modelmark.gates.data_contract import DataContract
from modelmark.gates.edge_cases import EdgeCases
from modelmark.gates.explanation import Explanation
from modelmark.gates.fairness import Fairness
from modelmark.gates.gate import GateKind
from modelmark.gates.holdout import Holdout
from modelmark.gates.leakage import Leakage
from modelmark.gates.load import Load
from modelmark.gates.objective import ObjectiveValue
from modelmark.gates.parity import ParityCheck
from modelmark.gates.replay import Replay
from modelmark.gates.robustness import Robustness
from modelmark.gates.slices import Slices
from modelmark.gates.supply_chain import SupplyChain
from modelmark.gates.tests import UserTests

#: Spelled out, so `grep` finds every gate and mypy checks each against `Gate`. Names are those of contract.gates.
BUILTIN: Final[Mapping[str, GateKind]] = {
    "data_contract": DataContract,
    "leakage": Leakage,
    "holdout": Holdout,
    "slices": Slices,
    "calibration": Calibration,
    "objective": ObjectiveValue,
    "fairness": Fairness,
    "explanation": Explanation,
    "behaviour": BehaviourTests,
    "robustness": Robustness,
    "edge_cases": EdgeCases,
    "tests": UserTests,
    "parity": ParityCheck,
    "supply_chain": SupplyChain,
    "replay": Replay,
    "load": Load,
}
