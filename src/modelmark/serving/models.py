"""Versions in memory: verified first, then parsed, then tried once before any traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from modelmark.contract.rows import RowCodec
from modelmark.domain import version as names
from modelmark.domain.classes import Decider, class_text
from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, OutputInvalid, Tampered
from modelmark.domain.routes import ArmRole, Route
from modelmark.domain.version import GoldenRequests, Signature, Version
from modelmark.journal.wal.records import Schema
from modelmark.seal import manifest
from modelmark.seal.keys import Verifier
from modelmark.seal.mark import open_marked
from modelmark.seal.values import decode, decode_contract
from modelmark.serving import golden
from modelmark.serving.execution import Execution
from modelmark.serving.flavours import Model
from modelmark.serving.guard import Guard
from modelmark.stats.watching.plausible import Bounds, bounds_in


class LoadedModel:
    """One version, ready to answer. label: v3; `staged` for a candidate that carries no mark."""

    def __init__(
        self, id: Digest, label: str, contract: Contract, model: Model, *, requests: GoldenRequests | None = None,
        may_wait: bool = False, plausible: Mapping[str, Bounds] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """requests: what it must answer as it did. plausible: as of `RowCodec`. may_wait: one whose server does not answer is
        loaded all the same, and not `proven`; each of its runs raises NotYet. Raises whatever the model's runtime does, and as
        `prove`."""
        self.id, self.label, self.contract, self.signature = id, label, contract, model.signature
        self._golden, self.proven = requests, False
        self.model, self.flavour = contract.name, model.flavour
        self.codec = RowCodec(contract, model.signature, plausible)
        self.guard = Guard(contract)
        self.decide = Decider(contract)
        self.classes = [class_text(name) for name in contract.outputs.classes]
        self.deadline = contract.serving.deadline_ms / 1000
        numeric = [column.name for column in self.codec.numeric]
        textual = [column.name for column in self.codec.textual]
        self.execution = Execution.of(model, numeric=numeric, textual=textual, deadline=self.deadline)
        self.schema = Schema(
            version=str(id),
            model=contract.name,
            task=str(contract.model.task),
            numeric=numeric,
            text=textual,
            classes=list(contract.outputs.classes),
            positive=contract.outputs.positive,
            threshold=contract.outputs.threshold,
        )
        if not (may_wait and self.waiting):
            self.prove()

    def prove(self) -> None:
        """Hold it against what it must answer, once. Raises OutputInvalid where it does not, NotYet where its server is gone."""
        self._try()
        if self._golden is not None:
            golden.require_same(self, self.contract, self._golden)
        self.proven = True

    @property
    def names(self) -> tuple[str, ...]:
        """Everything a caller may call this version by."""
        return (self.label, self.label.removeprefix("v"), self.id.short, self.id.hex)

    @property
    def astray(self) -> str:
        """Why it no longer is the model that was registered; empty for one that is, as all are whose bytes are here."""
        return str(getattr(self.execution.flavour, "astray", ""))

    @property
    def waiting(self) -> str:
        """Why it cannot answer yet: it is on another server, and that is gone. Empty for all others."""
        return str(getattr(self.execution.flavour, "waiting", ""))

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[list[float]]:
        """Implements `domain.ports.Predictor`: the serving path without its network. Raises Rejected as the endpoint refuses
        (also TOO_MANY_ROWS), OutputInvalid as its guard does."""
        batch = self.codec.batch(self.codec.from_mappings(rows))
        scores = self.execution.run(batch.numbers, batch.texts)
        bad = self.guard.check(scores, batch.received.count)
        if bad is not None:
            raise OutputInvalid(
                "the model's answer is not finite or out of its range", field="outputs", row=int(bad.argmax())
            )
        found: list[list[float]] = scores.tolist()
        return found

    def _try(self) -> None:
        """Run one plausible row: a version that cannot answer in the right shape never meets traffic."""
        numbers = np.array([[_plausible(c.minimum, c.maximum) for c in self.codec.numeric]])
        texts = [c.categories[0] if c.categories else "" for c in self.codec.textual]
        self.guard.check(self.execution.flavour.run(numbers.reshape(1, -1), texts), 1)
        self.execution.probe(numbers.reshape(1, -1), texts)


def _plausible(low: float | None, high: float | None) -> float:
    if low is not None and high is not None:
        return float(round((low + high) / 2))
    return low if low is not None else high if high is not None else 0.0


def load_marked(folder: Path, verifier: Verifier, id: Digest, *, may_wait: bool = False) -> LoadedModel:
    """Raises NoMark, Tampered, OutputInvalid where it does not answer its golden requests as it did, or whatever the model's
    runtime objects to. may_wait: as of `LoadedModel`."""
    marked = open_marked(folder, verifier, expected=id)
    model = Model(marked.version.components.flavour, marked.files, marked.signature)
    return LoadedModel(
        id, marked.version.label, marked.contract, model, requests=marked.golden, may_wait=may_wait,
        plausible=bounds_in(marked.reference),
    )  # fmt: skip


def load_candidate(folder: Path, id: Digest) -> LoadedModel:
    """A version that has no mark yet, for gates and staging only. Its bytes must still be those its id names."""
    try:
        version = decode(Version, (folder / names.DESCRIPTION).read_bytes())
    except FileNotFoundError as error:
        raise Missing(f"{error.filename} of the candidate is gone", code="FILE_GONE") from None
    manifest.require_named(version)
    if version.id != id:
        raise Tampered(f"the files are not those that version {id.short} was named after", code="WRONG_FILES")
    contents = manifest.read(folder, version.deciding)
    model = Model(
        version.components.flavour,
        {file.path: contents[file.path] for file in names.model_files(version.manifest)},
        decode(Signature, contents[names.SIGNATURE]),
    )
    return LoadedModel(id, "staged", decode_contract(contents[names.CONTRACT]), model)


@dataclass(frozen=True, slots=True)
class LiveArm:
    """A version that takes a share of the traffic."""

    name: str
    weight: float
    version: LoadedModel


@dataclass(frozen=True, slots=True)
class LiveRoute:
    """Who answers for one model now. arms: those that take traffic, the champion first. previous: None when there is none,
    or it did not load. shadows: asked what others answer, they answer nobody. salt: as of a `Route`."""

    model: str
    arms: tuple[LiveArm, ...]
    previous: LoadedModel | None
    shadows: tuple[LiveArm, ...] = ()
    salt: str = ""

    @classmethod
    def alone(cls, version: LoadedModel) -> Self:
        """All traffic to one version."""
        return cls(version.model, (LiveArm(ArmRole.CHAMPION, 1.0, version),), None)

    @property
    def champion(self) -> LoadedModel:
        return self.arms[0].version

    @property
    def weights(self) -> list[float]:
        return [arm.weight for arm in self.arms]

    @property
    def versions(self) -> tuple[LoadedModel, ...]:
        """Every version that is asked anything, the previous one too."""
        last = () if self.previous is None else (self.previous,)
        return (*(arm.version for arm in (*self.arms, *self.shadows)), *last)


def live_route(route: Route, loaded: Mapping[Digest, LoadedModel]) -> LiveRoute | None:
    """The route over what could be loaded: where its champion could not be, all goes to the one before. None when neither
    could be."""
    if route.champion.version not in loaded:
        before = loaded.get(route.previous) if route.previous else None
        return LiveRoute.alone(before) if before else None
    arms, shadows = (
        tuple(LiveArm(arm.name, arm.weight, loaded[arm.version]) for arm in chosen if arm.version in loaded)
        for chosen in (route.answering, route.shadows)
    )
    return LiveRoute(route.model, arms, loaded.get(route.previous) if route.previous else None, shadows, route.salt)


def described(route: LiveRoute) -> dict[str, Any]:
    """A model for people and programs that ask what it is."""
    contract = route.champion.contract
    return {
        "name": route.model,
        "task": contract.model.task,
        "purpose": contract.purpose,
        "versions": [
            {"version": arm.version.label, "id": str(arm.version.id), "arm": arm.name, "weight": arm.weight}
            for arm in route.arms
        ],
        "inputs": [
            {
                "name": i.name,
                "type": i.type,
                "unit": i.unit,
                "minimum": i.minimum,
                "maximum": i.maximum,
                "categories": i.categories,
                "nullable": i.nullable,
            }
            for i in contract.inputs
        ],
        "outputs": {
            "classes": contract.outputs.classes,
            "positive": contract.outputs.positive,
            "threshold": contract.outputs.threshold,
            "unit": contract.outputs.unit,
        },
        "limits": {
            "max_rows": contract.serving.max_rows,
            "max_body_bytes": contract.serving.max_body_bytes,
            "deadline_ms": contract.serving.deadline_ms,
        },
    }
