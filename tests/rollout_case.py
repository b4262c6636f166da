"""A workspace with a champion and candidates whose contracts plan a rollout, a real endpoint, real traffic and a real steward."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pandas as pd

import serving_case as case
from builders.domain import ANN, BOB
from modelmark.app.control_plane import ControlPlane
from modelmark.domain.catalogue.gate_settings import Gates
from modelmark.domain.contract import Contract, Fallback, FallbackKind, Labels, Objective, Outputs, Serving
from modelmark.domain.metrics import Metric, Task
from modelmark.domain.rollouts.settings import Margins, Rollout, Stage, StageKind
from modelmark.domain.version import Signature, Version
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import compact
from modelmark.journal.wal.records import Labelled, Predicted, Schema
from modelmark.journal.wal.writer import Writer
from modelmark.serving.supervisor import Supervisor, running
from modelmark.stats.profile import reference

#: Small numbers, so that a stage is over in seconds.
QUICK = Margins(
    errors=0.05, latency_ratio=3.0, latency_floor_ms=30.0, disagreement=0.5, score=0.3, quality=0.5, fairness=None
)


def stage(share: float | None, requests: int = 100) -> Stage:
    kind = StageKind.SHADOW if share is None else StageKind.CANARY
    return Stage(kind=kind, share=share, least_requests=requests, least_minutes=0.0)


def plan(*shares: float | None, **more: Any) -> Rollout:
    return Rollout(stages=tuple(map(stage, shares)), margins=QUICK, ships_itself=True, **more)


def agreed(rollout: Rollout | None = None, *, entity_key: str | None = None) -> Contract:
    """A regression of three numbers that answers for whatever its model cannot with the version before, else 0."""
    chain = (Fallback(kind=FallbackKind.PREVIOUS_VERSION), Fallback(kind=FallbackKind.CONSTANT, value=0.0))
    usual = case.contract(
        task=Task.REGRESSION,
        outputs=Outputs(),
        fallback=chain,
        serving=Serving(deadline_ms=10_000),
        entity_key=entity_key,
    )
    gates = Gates(**{field.name: None for field in dataclasses.fields(Gates) if field.name != "plugins"})
    return dataclasses.replace(
        usual, objective=Objective(metric=Metric.MAE), labels=Labels(expected_delay_hours=0.0), gates=gates, people=(ANN, BOB),
        purpose="a test", intended_uses=("a test",), forbidden_uses=("anything else",), rollout=rollout,
    )  # fmt: skip


class Place:
    """rows: what is asked, over and over. y_true: the truth of each, sent as its label."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.app = ControlPlane.open({"MODELMARK_ACTOR": "test"}, workspace=root)
        self.workspace = Workspace(root)
        draw = np.random.default_rng(0)
        x = draw.normal(size=(400, 3))
        self.rows = [{f"f{i}": float(value) for i, value in enumerate(row)} for row in x]
        self.y_true = [float(row[0] - row[1]) for row in x]
        scores = (x[:, 0] - x[:, 1]).reshape(-1, 1)
        self._reference = reference(agreed(), pd.DataFrame(x, columns=["f0", "f1", "f2"]), scores)

    def candidate(self, number: int, contract: Contract, **how: Any) -> Version:
        """Registered and signed. how: as for `serving_case.build`."""
        built = case.build(self.root, contract, number=number, reference=self._reference, marked=False, **how)
        self.app.releases.register(built.version, actor="ci")
        self.app.releases.record(built.version, [], actor="ci")
        for person in (ANN, BOB):
            self.app.releases.approve(built.version, role=person.role, name=person.name, comment="", actor="ci")
        return built.version

    def scripted(self, number: int, contract: Contract, words: str) -> Version:
        return self.candidate(
            number, contract, flavour="scripted", files={"words.txt": words.encode()},
            signature=Signature(feeds=(), score_output="value"),
        )  # fmt: skip

    def champion(self) -> Version:
        found = self.candidate(1, agreed(), artifact=case.gradient_boosting(3, seed=1, trees=30, regression=True))
        self.app.releases.release(found, actor="test")
        return found

    @contextmanager
    def serving(self) -> Iterator[Supervisor]:
        with running(self.workspace, workers=1, worker_options=("--seal-after", "0.3")) as supervisor:
            yield supervisor

    @contextmanager
    def watched(self) -> Iterator[Any]:
        """A steward that steps in a thread of its own."""
        steward, stop = self.app.steward(), threading.Event()
        steward._step_seconds = 0.3
        thread = threading.Thread(target=steward.run, args=(stop,))
        thread.start()
        try:
            yield steward
        finally:
            stop.set()
            thread.join()

    def traffic_of(self, since: datetime, arms: dict[str, Version], count: int = 400) -> None:
        """What each arm answered and what was true, without anybody's having been asked; all of it in the tables."""
        draw = np.random.default_rng(5)
        with Writer(self.workspace.wal) as writer:
            for arm, version in arms.items():
                names = ["f0", "f1", "f2"]
                writer.declare(Schema(str(version.id), "churn", "regression", names, [], [], None, 0.5))
                for i in range(count):
                    at = int((since + timedelta(microseconds=200 * i + 1)).timestamp() * 1e9)
                    x = draw.normal(size=3)
                    y = x[0] - x[1]
                    id = f"{i:024x}0{len(arm):07x}"
                    said = np.array([y + draw.normal(0, 0.3)], "<f8").tobytes()
                    writer.append(
                        Predicted(id, at, "churn", str(version.id), arm, "model", "", "", 1, x.astype("<f8").tobytes(), [], [],
                                  said, int(1000 + draw.integers(1000)))
                    )  # fmt: skip
                    writer.append(Labelled(id, 0, at, "churn", float(y), "test"))
        compact(self.workspace, self.app.witness)

    def acts(self, version: Version) -> list[tuple[str, str]]:
        """(act, actor) since it was signed."""
        events = [event for event in self.app.ledger.events() if event.subject == version.id]
        return [(e.act, e.actor) for e in events if e.act not in ("registered", "measured", "approved")]

    def reason(self, version: Version) -> str:
        return str(next(e for e in reversed(self.app.ledger.events()) if e.subject == version.id).details.get("reason"))


class Traffic:
    """Callers that ask all the time, each row with an entity, and tell the truth about every answer."""

    def __init__(self, place: Place, port: int, callers: int = 4) -> None:
        self.place, self.port = place, port
        self.failed: list[str] = []
        self.arms: dict[str, Counter[tuple[str, str]]] = {}
        self.answers: Counter[tuple[str, str, str]] = Counter()
        self.at: dict[tuple[str, str, str], float] = {}
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(i,)) for i in range(callers)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, first: int) -> None:
        at, labels = first, list[dict[str, Any]]()
        with httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10) as http:
            while not self._stop.is_set():
                at = (at + 7) % len(self.place.rows)
                body = {"rows": [self.place.rows[at]], "entity": f"e{at}"}
                try:
                    answer = http.post("/models/churn/predict", content=json.dumps(body))
                except httpx2.HTTPError as error:
                    self._note_failure(f"{type(error).__name__}: {error}")
                    continue
                if answer.status_code != 200:
                    self._note_failure(answer.text)
                    continue
                said = answer.json()
                with self._lock:
                    key = (said["version"], said["arm"], said["served_by"])
                    self.answers[key] += 1
                    self.at[key] = time.monotonic()
                    self.arms.setdefault(f"e{at}", Counter())[said["arm"], said["version"]] += 1
                labels.append({"id": said["id"], "row": 0, "label": self.place.y_true[at]})
                if len(labels) >= 20:
                    http.post("/models/churn/labels", content=json.dumps({"labels": labels}))
                    labels.clear()
                time.sleep(0.002)

    def _note_failure(self, said: str) -> None:
        with self._lock:
            self.failed.append(said)
