"""Before release: each gate measures one thing about a candidate; `runner.run_gates` turns that into Evidence."""

from collections.abc import Mapping
from typing import Final

from modelmark.gates.behaviour import BehaviourTests
from modelmark.gates.data_contract import DataContract
from modelmark.gates.edge_cases import EdgeCases
from modelmark.gates.explanation import Explanation
from modelmark.gates.fairness import Fairness
from modelmark.gates.gate import GateKind
from modelmark.gates.holdout import Holdout
from modelmark.gates.load import Load
from modelmark.gates.parity import ParityCheck
from modelmark.gates.replay import Replay
from modelmark.gates.robustness import Robustness
from modelmark.gates.supply_chain import SupplyChain
from modelmark.gates.tests import UserTests

#: Spelled out, so `grep` finds every gate and mypy checks each against `Gate`. Names are those of contract.gates.
BUILTIN: Final[Mapping[str, GateKind]] = {
    "data_contract": DataContract,
    "holdout": Holdout,
    "edge_cases": EdgeCases,
    "parity": ParityCheck,
    "load": Load,
    "behaviour": BehaviourTests,
    "tests": UserTests,
    "replay": Replay,
    "explanation": Explanation,
    "fairness": Fairness,
    "robustness": Robustness,
    "supply_chain": SupplyChain,
}
