"""Before release: each gate measures one thing about a candidate; `runner.run_gates` turns that into Evidence."""

from collections.abc import Mapping
from typing import Final

from modelmark.gates.behaviour.gate import BehaviourTests
from modelmark.gates.calibration.gate import Calibration
from modelmark.gates.data_contract.gate import DataContract
from modelmark.gates.edge_cases.gate import EdgeCases
from modelmark.gates.explanation.gate import Explanation
from modelmark.gates.fairness.gate import Fairness
from modelmark.gates.gate import GateKind
from modelmark.gates.holdout.gate import Holdout
from modelmark.gates.leakage.gate import Leakage
from modelmark.gates.load.gate import Load
from modelmark.gates.objective.gate import ObjectiveValue
from modelmark.gates.parity.gate import ParityCheck
from modelmark.gates.replay.gate import Replay
from modelmark.gates.robustness.gate import Robustness
from modelmark.gates.slices.gate import Slices
from modelmark.gates.supply_chain.gate import SupplyChain
from modelmark.gates.tests.gate import UserTests

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
