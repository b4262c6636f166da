"""The gates of this house, in the order they are shown: a row each, so `grep` finds everything about one at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelmark.domain.catalogue import gate_settings as settings
from modelmark.domain.catalogue.rows import CardSection, DifferenceSection, GateRow, Place, Proves
from modelmark.domain.metrics import Task
from modelmark.domain.people import Role

_SHARE: Final = (0.0, 1.0)
_CONFIDENCE: Final = (0.5, 0.9999)
_COUNT: Final = (1.0, 1_000_000.0)
_SECONDS: Final = (1.0, 86_400.0)

_ROWS: Final = (
    GateRow(
        name="data_contract",
        code="modelmark.gates.data_contract.gate:DataContract",
        settings=settings.DataContractGate,
        ranges={"max_violation_rate": _SHARE, "max_duplicate_rate": _SHARE, "max_shift": _SHARE},
        audiences={Role.DATA_SCIENCE: 1},
        difference=Place(DifferenceSection.DATA, 1),
        tiles=(Proves("data.1"), Proves("monitor.2")),
    ),
    GateRow(
        name="leakage",
        code="modelmark.gates.leakage.gate:Leakage",
        settings=settings.LeakageGate,
        ranges={
            "max_near_duplicate_rate": _SHARE,
            "nearness": (0.0, 10.0),
            "max_shared_entity_rate": _SHARE,
            "suspicious": _SHARE,
        },
        audiences={Role.DATA_SCIENCE: 2},
        difference=Place(DifferenceSection.DATA, 2),
    ),
    GateRow(
        name="holdout",
        code="modelmark.gates.holdout.gate:Holdout",
        settings=settings.HoldoutGate,
        ranges={
            "confidence": _CONFIDENCE,
            "minimum": (-1e12, 1e12),
            "champion_margin": _SHARE,
            "suspicious": _SHARE,
            "max_flattery": _SHARE,
            "max_label_gap": _SHARE,
            "worn_after": (0.0, 1_000_000.0),
        },
        audiences={Role.PRODUCT: 2, Role.DATA_SCIENCE: 3},
        difference=Place(DifferenceSection.QUALITY, 1),
        card=Place(CardSection.METRICS, 2),
        tiles=(Proves("1.out_of_sample"), Proves("model.5"), Proves("infra.4")),
    ),
    GateRow(
        name="slices",
        code="modelmark.gates.slices.gate:Slices",
        settings=settings.SlicesGate,
        ranges={
            "max_gap": _SHARE,
            "max_rank_gap": (0.0, 0.5),
            "min_rows": (2.0, 1_000_000.0),
            "confidence": _CONFIDENCE,
        },
        audiences={Role.PRODUCT: 3, Role.RISK: 6},
        difference=Place(DifferenceSection.SLICES, 1),
        card=Place(CardSection.FACTORS, 1),
        tiles=(Proves("model.6"),),
    ),
    GateRow(
        name="calibration",
        code="modelmark.gates.calibration.gate:Calibration",
        settings=settings.CalibrationGate,
        ranges={"max_error": _SHARE, "max_group_error": _SHARE, "confidence": _CONFIDENCE},
        subject=lambda contract: contract.model.task is not Task.REGRESSION,
        audiences={Role.RISK: 2},
        difference=Place(DifferenceSection.QUALITY, 3),
        card=Place(CardSection.METRICS, 3),
    ),
    GateRow(
        name="objective",
        code="modelmark.gates.objective.gate:ObjectiveValue",
        settings=settings.ObjectiveGate,
        ranges={
            "confidence": _CONFIDENCE,
            "harm_confidence": _CONFIDENCE,
            "harm_margin": _SHARE,
            "max_regret": (0.0, 10.0),
        },
        subject=lambda contract: bool(contract.guardrails) or contract.objective.costs is not None,
        audiences={Role.PRODUCT: 1},
        difference=Place(DifferenceSection.QUALITY, 2),
        card=Place(CardSection.METRICS, 1),
        tiles=(Proves("12.guardrails", where=lambda contract: bool(contract.guardrails)),),
    ),
    GateRow(
        name="fairness",
        code="modelmark.gates.fairness.gate:Fairness",
        settings=settings.FairnessGate,
        ranges={
            "min_ratio": _SHARE,
            "max_difference": _SHARE,
            "max_error_gap": (0.0, 10.0),
            "min_rows": (10.0, 1_000_000.0),
            "confidence": _CONFIDENCE,
        },
        subject=lambda contract: bool(contract.data.sensitive),
        audiences={Role.RISK: 1},
        difference=Place(DifferenceSection.FAIRNESS, 1),
        card=Place(CardSection.ANALYSES, 1),
        tiles=(Proves("12.fairness"), Proves("data.4"), Proves("model.7")),
    ),
    GateRow(
        name="explanation",
        code="modelmark.gates.explanation.gate:Explanation",
        settings=settings.ExplanationGate,
        ranges={
            "tolerance": _SHARE,
            "rows": (5.0, 100_000.0),
            "background": (10.0, 100_000.0),
            "max_evaluations": (1000.0, 1e9),
            "glass_box_rows": (100.0, 10_000_000.0),
            "confidence": _CONFIDENCE,
        },
        audiences={Role.RISK: 3, Role.DATA_SCIENCE: 4},
        difference=Place(DifferenceSection.EXPLANATION, 1),
        card=Place(CardSection.ANALYSES, 2),
        tiles=(
            Proves("3.explanations"),
            Proves("3.transparent", check="opacity"),
            Proves("data.2", check="every_column_matters"),
            Proves("model.5", check="opacity"),
        ),
    ),
    GateRow(
        name="behaviour",
        code="modelmark.gates.behaviour.gate:BehaviourTests",
        settings=settings.BehaviourGate,
        ranges={"rows": _COUNT, "confidence": _CONFIDENCE},
        subject=lambda contract: any(test.accepted for test in contract.behaviour),
        audiences={Role.RISK: 5},
        difference=Place(DifferenceSection.BEHAVIOUR, 1),
        card=Place(CardSection.ANALYSES, 4),
        tiles=(Proves("5.behaviour"),),
    ),
    GateRow(
        name="robustness",
        code="modelmark.gates.robustness.gate:Robustness",
        settings=settings.RobustnessGate,
        ranges={
            "noise": _SHARE,
            "max_noise_flips": _SHARE,
            "champion_margin": _SHARE,
            "max_one_field_flips": _SHARE,
            "rows": (10.0, 1_000_000.0),
            "attacked_rows": _COUNT,
            "radius": (0.0, 100.0),
            "max_queries": (100.0, 1e9),
            "max_seconds": _SECONDS,
        },
        audiences={Role.RISK: 4},
        difference=Place(DifferenceSection.BEHAVIOUR, 2),
        card=Place(CardSection.ANALYSES, 3),
        tiles=(Proves("10.adversarial"),),
    ),
    GateRow(
        name="edge_cases",
        code="modelmark.gates.edge_cases.gate:EdgeCases",
        settings=settings.EdgeCasesGate,
        ranges={"max_failures": (0.0, 10_000.0), "tolerance": _SHARE},
        audiences={Role.OPERATIONS: 3, Role.ENGINEERING: 3},
        difference=Place(DifferenceSection.BEHAVIOUR, 3),
        tiles=(Proves("7.edge_cases"), Proves("monitor.5")),
    ),
    GateRow(
        name="tests",
        code="modelmark.gates.tests.gate:UserTests",
        settings=settings.TestsGate,
        ranges={"seconds": _SECONDS, "memory_mib": (64.0, 1_048_576.0), "min_coverage": _SHARE},
        subject=lambda contract: contract.tests is not None,
        audiences={Role.ENGINEERING: 1},
        difference=Place(DifferenceSection.DATA, 3),
        tiles=(Proves("5.tests"), Proves("data.7"), Proves("infra.2")),
    ),
    GateRow(
        name="parity",
        code="modelmark.gates.parity.gate:ParityCheck",
        settings=settings.ParityGate,
        ranges={"max_flipped_rate": _SHARE, "max_moved_rate": _SHARE, "moved": _SHARE},
        audiences={Role.ENGINEERING: 2},
        difference=Place(DifferenceSection.DATA, 4),
        tiles=(Proves("5.parity"), Proves("monitor.3")),
    ),
    GateRow(
        name="supply_chain",
        code="modelmark.gates.supply_chain.gate:SupplyChain",
        settings=settings.SupplyChainGate,
        ranges={"scan_seconds": (1.0, 3600.0)},
        audiences={Role.ENGINEERING: 4},
        difference=Place(DifferenceSection.DATA, 5),
        tiles=(Proves("10.supply_chain"),),
    ),
    GateRow(
        name="replay",
        code="modelmark.gates.replay.gate:Replay",
        settings=settings.ReplayGate,
        ranges={
            "requests": _COUNT,
            "seconds": (1.0, 3600.0),
            "fault_rate": (0.0, 0.2),
            "hours": (0.0, 1_000_000.0),
            "max_refused_rate": _SHARE,
            "max_flipped_rate": _SHARE,
        },
        audiences={Role.OPERATIONS: 2},
        difference=Place(DifferenceSection.LOAD, 2),
        tiles=(Proves("1.staging"), Proves("infra.3")),
    ),
    GateRow(
        name="load",
        code="modelmark.gates.load.gate:Load",
        settings=settings.LoadGate,
        ranges={
            "seconds": (1.0, 3600.0),
            "max_error_rate": _SHARE,
            "overload": (1.0, 1000.0),
            "overload_seconds": (0.1, 3600.0),
            "min_goodput": _SHARE,
            "max_growth_kib": (0.0, 1_048_576.0),
        },
        audiences={Role.OPERATIONS: 1, Role.ENGINEERING: 5},
        difference=Place(DifferenceSection.LOAD, 1),
        tiles=(Proves("5.load"), Proves("6.latency"), Proves("monitor.6")),
    ),
)

#: By name, as in the contract's `gates`.
GATES: Final[Mapping[str, GateRow]] = {row.name: row for row in _ROWS}
