"""Which version people mean by a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from modelmark.domain.errors import Missing, Rejected
from modelmark.domain.ports import Ledger
from modelmark.domain.routes import ArmRole
from modelmark.domain.version import Version

LATEST: Final = "latest"


def nowhere() -> None:
    """No contract says which model is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindVersion:
    """meant: the model that the contract of the folder names, where people stand in one."""

    ledger: Ledger
    meant: Callable[[], str | None] = nowhere

    def __call__(self, reference: str | None, model: str | None = None) -> Version:
        """A version by `v3`, a digest's first digits, `champion`, `canary` or `latest`; None means latest.

        Without a model: of the one that the folder's contract names, or of the only one; digits are looked up in all.
        Raises Missing when there is none and Rejected when several models or versions could be meant.
        """
        reference = reference or LATEST
        named = reference in (LATEST, ArmRole.CHAMPION, ArmRole.CANARY) or (
            reference[0] == "v" and reference[1:].isdigit()
        )
        model = self._model(model) if named or model is not None else None
        versions = self.ledger.versions(model)
        if not versions:
            raise Missing("nothing is registered yet", code="NO_VERSION", hint="modelmark register")
        if named and model is not None:
            found = self._named(versions, reference, model)
        else:
            found = [v for v in versions if v.id.hex.startswith(reference.removeprefix("sha256:").lower())]
        if not found:
            listed = ", ".join(f"{v.label} ({v.id.short})" for v in versions)
            raise Missing(f"no version answers to {reference!r}", code="NO_VERSION", limit=f"known: {listed}")
        if len(found) > 1:
            raise Rejected(f"{len(found)} versions start with {reference!r}", code="AMBIGUOUS", hint="give more digits")
        return found[0]

    def model(self, name: str | None) -> str:
        """The model meant: the named one, or the only one. Raises as a call does."""
        return self(LATEST, name).model

    def _model(self, model: str | None) -> str | None:
        """The named model, the folder's, or the only one; None where nothing is registered. Raises as a call does."""
        models = sorted({version.model for version in self.ledger.versions()})
        known = ", ".join(models) or "none"
        if model is not None:
            if model not in models:
                raise Missing(f"there is no model {model!r}", code="NO_MODEL", limit="known: " + known)
            return model
        if not models:
            return None
        meant = self.meant()
        if meant is None:
            if len(models) > 1:
                raise Rejected(
                    "several models could be meant", code="WHICH_MODEL", hint=f"say --model {'|'.join(models)}"
                )
            return models[0]
        if meant not in models:
            raise Missing(
                f"the contract here names {meant!r}, which is not registered in this workspace", code="NO_MODEL",
                limit="known: " + known, hint=f"modelmark register, or say --model {'|'.join(models)}",
            )  # fmt: skip
        return meant

    def _named(self, versions: Sequence[Version], reference: str, model: str) -> list[Version]:
        if reference == LATEST:
            return [versions[-1]]
        if reference[0] == "v":
            return [v for v in versions if v.label == reference]
        snapshot = self.ledger.snapshot()
        route = snapshot.route(model) if snapshot else None
        arm = None if route is None else route.champion if reference == ArmRole.CHAMPION else route.canary
        return [v for v in versions if arm is not None and v.id == arm.version]
