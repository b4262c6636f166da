"""The two boards: which tile is proven by which receipt.

Which gates and monitors prove a tile is said in their rows, see `domain.catalogue`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from modelmark.contract.catalogue import shown_gates, shown_monitors
from modelmark.domain.audit import RELEASES, Act
from modelmark.domain.catalogue.gates import GATES
from modelmark.domain.catalogue.monitors import MONITORS
from modelmark.domain.contract import Contract, FallbackKind
from modelmark.domain.version import Version
from modelmark.governance.proofs import (
    RECORDED_FOR,
    Nothing,
    act,
    agreed,
    both,
    delivered,
    drill,
    gate,
    monitor,
    registered,
    says,
)
from modelmark.governance.score import Claim, Facts, Proof, Rule, Scorecard, score

#: section -> (tile, title, what is asked beside the gates and monitors whose rows prove it; None: nothing else).
Board = Mapping[str, Sequence[tuple[str, str, Rule | None]]]


def _goals(contract: Contract) -> str:
    if not contract.goals or any(goal.gaps() for goal in contract.goals):
        return ""
    return f"Goals: {', '.join(goal.name for goal in contract.goals)}."


def _questions(contract: Contract) -> str:
    answered = [asked for asked in contract.questions if asked.answer.strip()]
    whole = contract.questions and len(answered) == len(contract.questions)
    return f"{len(answered)} of {len(contract.questions)} questions between teams are answered." if whole else ""


def _objectives(contract: Contract) -> str:
    serving = contract.serving
    if not (_goals(contract) and _questions(contract)):
        return ""
    return f"{_goals(contract)} {serving.rate_per_s:g} requests/s within {serving.p99_ms:g} ms at p99."


def _signers(contract: Contract) -> str:
    roles = sorted({person.role.replace("_", " ") for person in contract.signers()})
    return f"People sign in the roles {', '.join(roles)}." if len(roles) >= 2 else ""


def _fallbacks(contract: Contract) -> str:
    names = ", then ".join(step.kind.value.replace("_", " ") for step in contract.fallback)
    return f"When the model cannot answer: {names}." if names else ""


def _review(contract: Contract) -> str:
    asked = any(step.kind is FallbackKind.REVIEW for step in contract.fallback)
    return "What no version can answer goes to a person's queue." if asked else ""


def _commit(version: Version) -> str:
    return f"git commit {version.lineage.git_commit}." if version.lineage.git_commit else ""


def _run(version: Version) -> str:
    return f"MLflow run {version.lineage.run_id}." if version.lineage.run_id else ""


def _retraining(contract: Contract) -> str:
    days = contract.retraining.max_age_days
    return (
        f"A champion older than {days:g} days is a finding; {contract.retraining.owner} trains again." if days else ""
    )


def _age(facts: Facts) -> Proof | str:
    days, version = facts.contract.retraining.max_age_days, facts.version
    if days is None:
        return "The contract sets no age at which to train again (retraining.max_age_days)."
    ends = version.created_at + timedelta(days=days)
    if facts.now >= ends:
        return f"{version.label} is older than the {days:g} days its contract allows."
    return Proof(
        sentence=f"{version.label} is younger than the {days:g} days its contract allows.",
        at=version.created_at,
        fresh=timedelta(days=days),
        place="version",
        receipt=version.id,
        again="modelmark register",
    )


def _labels(facts: Facts) -> Proof | Claim | str:
    found = monitor("performance")(facts)
    return f"No label has come back that could be judged. {found}" if isinstance(found, str) else found


def _told(facts: Facts) -> Proof | str:
    return delivered(facts.told, f"about the release of {facts.version.label}", "audit")


def _alerted(facts: Facts) -> Proof | str:
    """An alert that arrived proves it best; before the first alert, what else arrived about this version."""
    if facts.alerted:
        return delivered(facts.alerted, f"about alerts of {facts.version.model}", "model")
    return _told(facts)


def _reviewed(facts: Facts) -> str:
    commit = facts.version.lineage.git_commit
    if not commit:
        return f"{facts.version.label} was not registered from a git checkout, and no receipt tells of a review."
    return f"{facts.version.label} comes from commit {commit[:12]}; no receipt says that it was reviewed."


def _correlated(facts: Facts) -> str:
    count = sum(event.act == Act.RELEASED for event in facts.events)
    return (
        f"{facts.version.model} was released {count} time{'s' if count != 1 else ''}; no receipt holds what each release "
        "changed offline beside what it changed online."
    )


_mark = act(*RELEASES, fresh=RECORDED_FOR)
_canary = act(Act.RELEASED_AS_CANARY, again="modelmark release {version} --share 10%")

TWELVE: Final[Board] = {
    "1. No real validation": (
        ("1.out_of_sample", "Validate on out-of-sample data", None),
        ("1.staging", "Replay traffic in a staging environment that simulates production", None),
        ("1.partial", "Give a part of live traffic first", _canary),
    ),
    "2. Drift and decay ignored": (
        ("2.quality", "Watch the quality of what comes in", None),
        ("2.drift", "Watch for drift", None),
        ("2.performance", "Watch performance on labels", None),
        ("2.retraining", "Agree when to train again", agreed(_retraining, "retraining.max_age_days is not set.")),
    ),
    "3. No interpretability": (
        ("3.explanations", "Explain with SHAP and LIME", None),
        ("3.transparent", "Prefer a transparent model where it is as good", None),
    ),
    "4. Poor version control": (
        ("4.code", "Know the code of a version", registered(_commit, "It was not registered from a git checkout.")),
        ("4.tracking", "Track experiments", registered(_run, "No MLflow run is known.")),
        ("4.reproducible", "Release exactly the bytes that were checked", _mark),
        ("4.rollback", "Practise the rollback", drill(Act.ROLLED_BACK)),
    ),
    "5. Weak tests": (
        ("5.tests", "Test preprocessing and model, unit and integration", None),
        ("5.parity", "Serve what was trained", None),
        ("5.load", "Test under load", None),
        ("5.behaviour", "Notice faulty predictions", None),
    ),
    "6. No thought for scale": (
        ("6.latency", "Know latency, throughput and capacity", None),
        (
            "6.scaling",
            "Scale with traffic, cache what repeats",
            Nothing("No receipt is kept of autoscaling or caching."),
        ),
    ),
    "7. Edge cases": (
        ("7.edge_cases", "Find and test edge cases", None),
        ("7.fallback", "Declare fallbacks", agreed(_fallbacks, "The contract declares no fallback.")),
        ("7.review", "Give uncertain answers to a person", agreed(_review, "No fallback of kind review.")),
        ("7.anomalies", "Notice what was never seen", None),
    ),
    "8. Poor monitoring": (
        ("8.live", "Watch accuracy and latency live", None),
        ("8.alerts", "Tell people", _alerted),
        ("8.logged", "Log every prediction", None),
    ),
    "9. No feedback loop": (
        ("9.labels", "Take feedback in real time", _labels),
        ("9.updates", "Update regularly", _age),
        ("9.active", "Ask for the labels that teach most", Nothing("No receipt is kept of active learning.")),
    ),
    "10. Insecure": (
        ("10.adversarial", "Test against adversaries", None),
        ("10.supply_chain", "Know what is inside, and whether it is patched", None),
        ("10.tamper", "Make inputs, outputs and bytes tamper-evident", _mark),
    ),
    "11. Teams left out": (
        ("11.stakeholders", "Bring stakeholders in early", agreed(_signers, "Fewer than two roles sign.")),
        (
            "11.objectives",
            "Agree infrastructure, scalability and business objectives",
            agreed(_objectives, "Goals or questions are not filled in."),
        ),
        ("11.communication", "Communicate changes", _told),
    ),
    "12. Overfit to a business metric": (
        ("12.fairness", "Audit fairness regularly", None),
        ("12.guardrails", "Hold guardrails", Nothing("The contract names no guardrail.")),
        ("12.goals", "Keep long-term goals", agreed(_goals, "The contract names no whole goal.")),
    ),
}

ML_TEST_SCORE: Final[Board] = {
    "Data": (
        ("data.1", "Feature expectations are captured in a schema", None),
        ("data.2", "All features are beneficial", None),
        ("data.3", "No feature's cost is too much", Nothing("No receipt is kept of what a feature costs.")),
        ("data.4", "Features adhere to meta-level requirements", None),
        (
            "data.5",
            "The data pipeline has appropriate privacy controls",
            Nothing("No receipt is kept of privacy controls."),
        ),
        ("data.6", "New features can be added quickly", Nothing("No receipt is kept of how long a feature takes.")),
        ("data.7", "All input feature code is tested", None),
    ),
    "Model": (
        (
            "model.1",
            "Every model specification undergoes a code review and is checked in",
            Nothing(_reviewed),
        ),
        (
            "model.2",
            "Offline proxy metrics correlate with actual online impact metrics",
            Nothing(_correlated),
        ),
        ("model.3", "All hyperparameters have been tuned", Nothing("No search log is kept.")),
        ("model.4", "The impact of model staleness is known", Nothing("No backtest over ages is kept.")),
        ("model.5", "A simpler model is not better", None),
        ("model.6", "Model quality is sufficient on all important data slices", None),
        ("model.7", "The model has been tested for considerations of inclusion", None),
    ),
    "Infrastructure": (
        ("infra.1", "Training is reproducible", Nothing("No second training is compared.")),
        ("infra.2", "Model specification code is unit tested", None),
        ("infra.3", "The full ML pipeline is integration tested", None),
        ("infra.4", "Model quality is validated before attempting to serve it", _mark),
        (
            "infra.5",
            "The model allows debugging by observing a single example step by step",
            Nothing("No stored trace of a single request."),
        ),
        ("infra.6", "Models are tested via a canary process before they enter production", _canary),
        ("infra.7", "Models can be quickly and safely rolled back", drill(Act.ROLLED_BACK, timedelta(days=90))),
    ),
    "Monitoring": (
        (
            "monitor.1",
            "Dependency changes result in notification",
            Nothing("Dependencies are listed per version; nobody is told when they change."),
        ),
        ("monitor.2", "Data invariants hold in training and serving inputs", None),
        ("monitor.3", "Training and serving features compute the same values", None),
        ("monitor.4", "Models are not too stale", _age),
        ("monitor.5", "The model is numerically stable", None),
        ("monitor.6", "No regression in training speed, serving latency, throughput or RAM usage", None),
        ("monitor.7", "No regression in prediction quality on served data", None),
    ),
}


def twelve_mistakes(facts: Facts) -> Scorecard:
    return score(facts, "The twelve mistakes", _ruled(TWELVE, facts.contract))


def ml_test_score(facts: Facts) -> Scorecard:
    return score(facts, "ML Test Score", _ruled(ML_TEST_SCORE, facts.contract))


def _ruled(board: Board, contract: Contract) -> dict[str, list[tuple[str, str, Rule]]]:
    """The board with every tile's whole rule, gates and monitors of the contract's plugins among them."""
    gates = shown_gates((*GATES, *contract.gates.plugins))
    monitors = shown_monitors((*MONITORS, *contract.monitors.plugins))
    rules = [
        *((tile, says(row.name, tile.check) if tile.check else gate(row.name)) for row in gates for tile in row.tiles),
        *((tile, monitor(row.name)) for row in monitors for tile in row.tiles),
    ]
    proving: dict[str, list[Rule]] = {}
    for tile, rule in rules:
        if tile.where(contract):
            proving.setdefault(tile.tile, []).append(rule)
    return {
        section: [(id, title, _whole(proving.get(id, []), own)) for id, title, own in lines]
        for section, lines in board.items()
    }


def _whole(proving: Sequence[Rule], own: Rule | None) -> Rule:
    """That nothing proves a tile is true only as long as no row does."""
    if own is None or (proving and isinstance(own, Nothing)):
        return both(*proving)
    return both(*proving, own)
