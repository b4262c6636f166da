"""Domain values with ordinary contents."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

from modelmark.domain.contract import Contract, Data, DataType, Input, Labels, ModelSource, Objective, Outputs
from modelmark.domain.digest import Digest
from modelmark.domain.evidence import Bound, Check, Evidence, Limit
from modelmark.domain.finding import Finding, Outcome, Window
from modelmark.domain.metrics import Metric, Task
from modelmark.domain.people import Person, Role
from modelmark.domain.release import Approval
from modelmark.domain.version import Components, Lineage, Parity, Version
from modelmark.seal.digests import digest_bytes, digest_value

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN = Person(role=Role.DATA_SCIENCE, name="Ann Lee", signs=True)
BOB = Person(role=Role.PRODUCT, name="Bob Ray", signs=True)


def digest(name: str) -> Digest:
    return digest_bytes(name.encode())


def contract(**changes: Any) -> Contract:
    usual = Contract(
        modelmark=1,
        name="loans",
        purpose="decides who is called back",
        intended_uses=("rank applications",),
        forbidden_uses=("set a price",),
        people=(ANN, BOB),
        labels=Labels(expected_delay_hours=24.0),
        model=ModelSource(source="model.joblib", task=Task.BINARY),
        data=Data(train="train.csv", holdout="holdout.csv", target="y"),
        inputs=(
            Input(name="age", type=DataType.NUMBER, minimum=0.0, maximum=120.0),
            Input(name="job", type=DataType.CATEGORY, categories=("a", "b")),
        ),
        outputs=Outputs(classes=(0, 1), positive=1),
        objective=Objective(metric=Metric.ROC_AUC),
    )
    return dataclasses.replace(usual, **changes)


def version(name: str = "one", **changes: Any) -> Version:
    parts = Components(
        artifact=digest(name), contract=digest("contract"), preprocessing=digest("signature"), lock=digest("lock")
    )
    usual = Version(
        id=digest_value(parts),
        model="loans",
        number=1,
        components=parts,
        lineage=Lineage(
            source="model.joblib",
            source_digest=digest("source"),
            train_digest=digest("train"),
            holdout_digest=digest("holdout"),
            git_commit=None,
        ),
        parity=Parity(rows=100, flipped=0, max_difference=1e-7),
        reference=digest("reference"),
        created_at=NOON,
        registered_by="ann",
    )
    return dataclasses.replace(usual, **changes)


def evidence(
    candidate: Digest | None = None, *, measured: float | None = 0.9, gate: str = "holdout", minutes: int = 0
) -> Evidence:
    return Evidence(
        gate=gate,
        candidate=candidate or version().id,
        checks=(
            Check(
                name="minimum", measured=measured, limit=Limit(bound=Bound.AT_LEAST, value=0.8), sentence="ROC AUC 0.9."
            ),
        ),
        at=NOON + timedelta(minutes=minutes),
        seconds=1.0,
    )


def approval(of: Version, seen: Digest, person: Person = ANN) -> Approval:
    return Approval(version=of.id, evidence=seen, role=person.role, name=person.name, at=NOON)


def finding(**changes: Any) -> Finding:
    usual = Finding(
        monitor="drift",
        model="loans",
        version=version().id,
        subject="age",
        window=Window(start=NOON, end=NOON + timedelta(hours=1)),
        outcome=Outcome.ALERT,
        sentence="age moved by 0.31.",
        measured=0.31,
        low=0.28,
        high=0.34,
        limit=0.1,
        n=1000,
    )
    return dataclasses.replace(usual, **changes)
