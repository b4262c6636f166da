"""What was agreed beforehand is what counts: code, promises, table, champion, and nothing that asks to be looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from builders import domain
from modelmark.domain.audit import Act, Event
from modelmark.domain.contract import Retraining
from modelmark.domain.errors import NotPermitted
from modelmark.domain.evidence import Verdict
from modelmark.domain.release import State
from modelmark.governance.release_status import ReleaseStatus
from modelmark.governance.standing import require_consent

CODE = str(domain.digest("the code that was agreed"))
CHAMPION, NEXT, LATER = domain.version("champion"), domain.version("next"), domain.version("later")
AGREED = domain.contract(retraining=Retraining(entry="fit.py:train", unattended=True, code=CODE))


def retrained(subject: Any = NEXT, after: Any = CHAMPION, **changes: Any) -> Event:
    details = {"after": str(after.id), "outcome": "better", "base": str(CHAMPION.lineage.train_digest), **changes}
    return Event(
        sequence=1, at=domain.NOON, actor="steward", act=Act.RETRAINED, subject=str(subject.id), details=details,
        previous="", hash="",
    )  # fmt: skip


def status(**changes: Any) -> ReleaseStatus:
    plain: dict[str, Any] = {
        "version": NEXT, "state": State.CHECKED, "gates": {"holdout": Verdict.PASS}, "waived": (), "approvals": (),
        "missing": (), "unfilled": (),
    }  # fmt: skip
    return ReleaseStatus(**plain | changes)


def asked(**changes: Any) -> None:
    given: dict[str, Any] = {
        "contracts": (AGREED, AGREED), "status": status(), "code": CODE, "retrained": [retrained()], "champion": CHAMPION,
        **changes,
    }  # fmt: skip
    require_consent(changes.pop("version", NEXT), **{k: v for k, v in given.items() if k != "version"})


def new(**changes: Any) -> tuple[Any, Any]:
    return AGREED, dataclasses.replace(AGREED, **changes)


def test_what_was_agreed_is_let_through() -> None:
    assert asked() is None
    data = dataclasses.replace(AGREED.data, train="retrained_on.parquet", holdout="later.parquet", time="row_order")
    model = dataclasses.replace(AGREED.model, source="model.joblib")
    assert asked(contracts=new(data=data, model=model)) is None


def test_a_champion_that_was_trained_so_itself_passes_its_consent_on() -> None:
    assert asked(version=LATER, champion=NEXT, retrained=[retrained(), retrained(LATER, NEXT)]) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (lambda: {"contracts": (domain.contract(), AGREED)}, "does not say retraining.unattended"),
        (lambda: {"code": str(domain.digest("other"))}, "other code trained it"),
        (lambda: {"contracts": new(purpose="something else")}, "promises something else"),
        (lambda: {"contracts": new(data=dataclasses.replace(AGREED.data, target="other"))}, "promises something else"),
        (lambda: {"retrained": []}, "no retraining has shown"),
        (lambda: {"retrained": [retrained(outcome="not surely better")]}, "no retraining has shown"),
        (lambda: {"retrained": [retrained(), retrained(outcome="refused")]}, "no retraining has shown"),
        (lambda: {"retrained": [retrained(after=LATER)]}, "no retraining has shown"),
        (lambda: {"retrained": [retrained(subject=LATER)]}, "no retraining has shown"),
        (lambda: {"retrained": [retrained(base=str(domain.digest("poisoned")))]}, "not the one that was agreed"),
        (lambda: {"status": status(gates={"holdout": Verdict.FAIL})}, "look at: holdout"),
        (lambda: {"status": status(gates={"load": Verdict.CANNOT_TELL})}, "look at: load"),
        (lambda: {"status": status(unfilled=("purpose",))}, "look at: purpose"),
    ],
)
def test_everything_else_waits_for_people(changes: Callable[[], dict[str, Any]], said: str) -> None:
    given = changes()
    with pytest.raises(NotPermitted) as refused:
        asked(**given)
    assert refused.value.code == "NO_CONSENT"
    assert said in refused.value.message
