"""The ids of the scorecards' tiles, which a contract's `claims` name. `governance.scorecards` says what proves each."""

from typing import Final

TWELVE: Final = (
    *("1.out_of_sample", "1.staging", "1.partial"),
    *("2.quality", "2.drift", "2.performance", "2.retraining"),
    *("3.explanations", "3.transparent"),
    *("4.code", "4.tracking", "4.reproducible", "4.rollback"),
    *("5.tests", "5.parity", "5.load", "5.behaviour"),
    *("6.latency", "6.scaling"),
    *("7.edge_cases", "7.fallback", "7.review", "7.anomalies"),
    *("8.live", "8.alerts", "8.logged"),
    *("9.labels", "9.updates", "9.active"),
    *("10.adversarial", "10.supply_chain", "10.tamper"),
    *("11.stakeholders", "11.objectives", "11.communication"),
    *("12.fairness", "12.guardrails", "12.goals"),
)
ML_TEST_SCORE: Final = tuple(
    f"{section}.{number}" for section in ("data", "model", "infra", "monitor") for number in range(1, 8)
)
TILES: Final = (*TWELVE, *ML_TEST_SCORE)
