"""A workspace with some hours of life in it: real versions, acts, journal, tables, findings and alerts, no waiting.

Time is given, not spent: records carry the times they would have had, and a real steward steps at those times.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import serving_case
from modelmark.app.control_plane import ControlPlane
from modelmark.contract.catalogue import required_gates
from modelmark.domain import version as names
from modelmark.domain.catalogue.gate_settings import Gates
from modelmark.domain.catalogue.monitor_settings import Cycle, DriftMonitor, Monitors
from modelmark.domain.contract import Contract, Data, DataType, Input, Labels, ModelSource, Objective, Outputs, Serving
from modelmark.domain.evidence import Bound, Check, Evidence, Limit
from modelmark.domain.metrics import Metric, Task
from modelmark.domain.people import Person, Role
from modelmark.domain.version import Components, Feed, Lineage, Parity, Signature, Version
from modelmark.gates.report import write_report
from modelmark.governance.audit import Audit
from modelmark.governance.releases import Releases
from modelmark.journal.tables.compact import compact
from modelmark.journal.wal.records import Labelled, Predicted, Refused, Schema
from modelmark.journal.wal.writer import Writer
from modelmark.seal.digests import canonical, digest_bytes, digest_value
from modelmark.stats.profile import reference
from modelmark.steward.jobs import builtin
from modelmark.steward.loop import Steward
from modelmark.steward.serving_versions import ServingVersions

ANN = Person(role=Role.DATA_SCIENCE, name="Ann Lee", signs=True)
BOB = Person(role=Role.PRODUCT, name="Bob Ray", signs=True)
LOOK: timedelta = timedelta(minutes=30)
NOTHING = digest_bytes(b"")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A trained model with the rows it lives on. x: every input; y: the truth; scores: (n, 2) of the fitted model."""

    contract: Contract
    artifact: bytes
    signature: Signature
    x: pd.DataFrame
    y: list[Any]
    scores: np.ndarray
    holdout: slice


@dataclass
class Lived:
    """The workspace, its application and what was put into it."""

    app: ControlPlane
    now: datetime
    released: dict[str, tuple[Case, Version]] = field(default_factory=dict)
    _clock: datetime | None = None

    @classmethod
    def at(cls, root: Path, now: datetime | None = None) -> Lived:
        app = ControlPlane.open({"MODELMARK_ACTOR": "ann"}, workspace=root)
        lived = cls(app, now or datetime.now(UTC))
        clock = lambda: lived._clock or datetime.now(UTC)  # noqa: E731
        app.releases = Releases(
            app.ledger,
            Audit(app.ledger, clock, lambda: app.signer),
            clock,
            contract_of=app.contract_of,
            required=required_gates,
            effects=app.effects,
            sign_off=replace(app.sign_off, clock=clock),
        )
        return lived

    def register(self, case: Case, number: int, at: datetime) -> Version:
        """Put the version's files in place and say so in the ledger."""
        self._clock = at
        contents = {
            names.ARTIFACT: case.artifact,
            names.CONTRACT: canonical(case.contract),
            names.SIGNATURE: canonical(case.signature),
            names.LOCK: b"scikit-learn==1.9.1\n# %d\n" % number,
            names.REFERENCE: reference(case.contract, case.x, case.scores[case.holdout]),
        }
        parts = Components(
            artifact=digest_bytes(contents[names.ARTIFACT]),
            contract=digest_bytes(contents[names.CONTRACT]),
            preprocessing=digest_bytes(contents[names.SIGNATURE]),
            lock=digest_bytes(contents[names.LOCK]),
        )
        version = Version(
            id=digest_value(parts),
            model=case.contract.name,
            number=number,
            components=parts,
            lineage=Lineage(
                source="model.joblib",
                source_digest=NOTHING,
                train_digest=NOTHING,
                holdout_digest=NOTHING,
                git_commit=None,
            ),
            parity=Parity(rows=len(case.scores[case.holdout]), flipped=0, max_difference=3.1e-7),
            reference=digest_bytes(contents[names.REFERENCE]),
            created_at=at,
            registered_by="ci",
        )
        folder = self.app.workspace.version(version.id)
        folder.mkdir(parents=True)
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        self.app.releases.register(version, actor="ann")
        return version

    def check(self, case: Case, version: Version, at: datetime, *, holdout: float = 0.985) -> None:
        """Evidence of every gate the contract asks for, and the report over it."""
        self._clock = at
        found = [
            Evidence(gate=gate, candidate=version.id, checks=_checks(gate, holdout), at=at, seconds=2.5)
            for gate in sorted(required_gates(case.contract))
        ]
        status = self.app.releases.record(version, found, actor="ann")
        report = self.app.workspace.report(version.id)
        write_report(report, version=version, contract=case.contract, evidence=found, at=at, waivers=status.waived)

    def release(self, case: Case, version: Version, at: datetime, *, share: float = 1.0, comment: str = "") -> None:
        self._clock = at
        for person in case.contract.signers():
            self.app.releases.approve(version, role=person.role, name=person.name, comment=comment, actor="ann")
        self._clock = at + timedelta(minutes=1)
        self.app.releases.release(version, share=share, actor="ann")
        self.released[version.model] = (case, version)

    def predict(
        self,
        model: str,
        times: Sequence[datetime],
        *,
        seed: int = 0,
        shifted: dict[str, float] | None = None,
        since: datetime | None = None,
        label_after: timedelta | None = None,
        refused: int = 0,
    ) -> list[str]:
        """Answers at those times, of rows drawn from the model's own, into the journal and its tables.

        shifted: what is added to inputs from `since` on. label_after: when the truth comes, for every third row.
        """
        case, version = self.released[model]
        numeric, text = (list(inputs) for inputs in (case.contract.numeric(), case.contract.textual()))
        rng = np.random.default_rng(seed)
        picked = rng.integers(0, len(case.x), len(times))
        numbers = case.x[[i.name for i in numeric]].to_numpy(float)[picked]
        for name, by in (shifted or {}).items():
            late = np.array([at >= (since or at) for at in times])
            numbers[late, [i.name for i in numeric].index(name)] += by
        texts = case.x[[i.name for i in text]].to_numpy(object)[picked]
        micros = rng.gamma(4, 110, len(times)).astype(int)
        ids = []
        with Writer(self.app.workspace.wal) as writer:
            writer.declare(_schema(case.contract, version))
            batch: list[Any] = []
            for k, (at, which) in enumerate(zip(times, picked, strict=True)):
                ns = int(at.timestamp() * 1e9)
                ids.append(writer.ids.next(ns, 1))
                batch.append(
                    Predicted(
                        id=ids[-1], at=ns, model=model, version=version.id.hex, arm="champion", path="model",
                        request_id="", entity="", rows=1, numbers=numbers[k].astype("<f8").tobytes(),
                        texts=list(texts[k]), flags=[], scores=case.scores[which].astype("<f8").tobytes(),
                        micros=int(micros[k]),
                    )
                )  # fmt: skip
                if label_after is not None and k % 3 == 0 and at + label_after < self.now:
                    told = int((at + label_after).timestamp() * 1e9)
                    batch.append(Labelled(ids[-1], 0, told, model, case.y[which], "outcomes.csv"))
            if refused:
                at = int((self.now - timedelta(minutes=30)).timestamp() * 1e9)
                batch.append(Refused(at, model, "OUT_OF_RANGE", numeric[0].name, refused))
            writer.append_many(batch)
        compact(self.app.workspace, self.app.witness)
        return ids

    def steward(self) -> Steward:
        serving = ServingVersions(self.app.monitored, self.app.monitored.left)
        jobs = builtin(self.app.workspace, self.app.monitoring_store, serving, None, witness=self.app.witness)
        return Steward(jobs, serving, self.app.monitoring_store, lambda: self.now, log=lambda line: None)

    def watch(self, start: datetime) -> None:
        """A real steward looks at every LOOK from `start` to now."""
        steward = self.steward()
        looks = int((self.now - start) / LOOK)
        for k in range(looks, -1, -1):
            done = steward.step(self.now - k * LOOK)
            assert not done.errors, done.errors
        self._clock = None


def spread(start: datetime, end: datetime, count: int, seed: int = 0) -> list[datetime]:
    """`count` times between two, oldest first, busier in the middle."""
    share = np.sort(np.random.default_rng(seed).beta(1.3, 1.1, count))
    return [start + (end - start) * float(s) for s in share]


def tumours() -> Case:
    """Thirty measurements of breast tumours (Wisconsin, ships with scikit-learn) and a logistic regression."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = load_breast_cancer(as_frame=True)
    inputs = tuple(Input(name=str(c), type=DataType.NUMBER, minimum=0.0, maximum=10_000.0) for c in data.data.columns)
    agreed = contract("tumours", inputs, metric=Metric.ROC_AUC, purpose="orders slides for a second look")
    return _fitted(agreed, data.data, data.target.tolist(), make_pipeline(StandardScaler(), LogisticRegression(C=0.05)))


@cache
def quiet() -> Case:
    """Four numbers and an answer that depends on two of them."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(5)
    x = pd.DataFrame(rng.normal(0, 1, (1200, 4)), columns=["tenure", "calls", "spend", "age"])
    y = (x["tenure"] - x["calls"] + rng.normal(0, 0.8, 1200) > 0).astype(int).tolist()
    inputs = tuple(Input(name=c, type=DataType.NUMBER, minimum=-10.0, maximum=10.0) for c in x.columns)
    return _fitted(contract("churn", inputs, metric=Metric.ACCURACY), x, y, LogisticRegression())


def hostile(words: Sequence[str]) -> Case:
    """A model whose every free text is one of `words`: purpose, uses, input names, categories, signer's name."""
    base = quiet()
    names_ = [f"{words[i % len(words)]}{i}" for i in range(4)]
    inputs = tuple(Input(name=n, type=DataType.NUMBER, minimum=-10.0, maximum=10.0) for n in names_)
    category = Input(name=f"town {words[0]}", type=DataType.CATEGORY, categories=tuple(dict.fromkeys(words)))
    changed = dataclasses.replace(
        base.contract,
        name="hostile",
        inputs=(*inputs, category),
        purpose=" ".join(words),
        intended_uses=tuple(words),
        forbidden_uses=tuple(words),
        people=(Person(role=Role.PRODUCT, name=words[0], signs=True),),
        outputs=Outputs(classes=(words[0], words[1]), positive=words[1]),
    )
    x = base.x.set_axis(names_, axis=1)
    x[category.name] = np.random.default_rng(0).choice(list(category.categories or ()), len(x))
    y = [words[value] for value in base.y]
    return dataclasses.replace(base, contract=changed, x=x, y=y)


def contract(name: str, inputs: tuple[Input, ...], *, metric: Metric, purpose: str = "") -> Contract:
    return Contract(
        modelmark=1,
        name=name,
        purpose=purpose or "tells who is likely to leave",
        intended_uses=("order a work list",),
        forbidden_uses=("decide without a person",),
        people=(ANN, BOB),
        labels=Labels(expected_delay_hours=1.0),
        model=ModelSource(source="model.joblib", task=Task.BINARY),
        data=Data(train="train.csv", holdout="holdout.csv", target="y"),
        inputs=inputs,
        outputs=Outputs(classes=(0, 1), positive=1),
        objective=Objective(metric=metric),
        serving=Serving(),
        gates=Gates(),
        monitors=Monitors(every_seconds=LOOK.total_seconds(), drift=DriftMonitor(min_rows=150, cycle=Cycle.NONE)),
    )


def _fitted(agreed: Contract, x: pd.DataFrame, y: list[Any], model: Any) -> Case:
    columns = tuple(str(c) for c in x.columns)
    model.fit(x.to_numpy(np.float32), y)
    return Case(
        contract=agreed,
        artifact=serving_case.converted(model, len(columns)),
        signature=Signature(
            feeds=(Feed(graph_input="X", columns=columns, dtype="float32"),), score_output="probabilities"
        ),
        x=x,
        y=y,
        scores=model.predict_proba(x.to_numpy(np.float32)),
        holdout=slice(0, len(x)),
    )


def _checks(gate: str, holdout: float) -> tuple[Check, ...]:
    if gate == "holdout":
        sentence = f"The objective is {holdout:.3f} on rows it has never seen (95% interval {holdout - 0.01:.3f} up)."
        limit = Limit(bound=Bound.AT_LEAST, value=0.9)
        return (
            Check(
                name="objective", measured=holdout - 0.01, limit=limit, sentence=sentence, estimate=holdout,
                low=holdout - 0.01, high=min(1.0, holdout + 0.01), n=1138, confidence=0.95,
            ),
        )  # fmt: skip
    most = Limit(bound=Bound.AT_MOST, value=0.001)
    return (Check(name="rate", measured=0.0, limit=most, sentence=f"{gate}: no case went wrong.", n=1138),)


def _schema(agreed: Contract, version: Version) -> Schema:
    return Schema(
        version=version.id.hex,
        model=agreed.name,
        task=agreed.model.task.value,
        numeric=[i.name for i in agreed.numeric()],
        text=[i.name for i in agreed.textual()],
        classes=list(agreed.outputs.classes),
        positive=agreed.outputs.positive,
        threshold=agreed.outputs.threshold,
    )
