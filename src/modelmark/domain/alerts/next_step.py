"""What whoever meets an alert does next, in words that can be followed."""

from __future__ import annotations

from typing import Final

from modelmark.domain.finding import Alert
from modelmark.domain.routes import ArmRole

#: Monitor, how its subject begins, and what to do. The first that fits counts. {undo}, {id} and {what} are filled in.
_STEPS: Final = (
    ("performance", "", "Look at the wrong rows below: are their labels right (the page of the model's rows tells their sources)? "
     "If they are, and it is the model that is wrong, {undo}."),
    ("estimate", "", "Label some of the rows below first: the estimate holds while scores mean what they did. If labels agree, "
     "train again on rows like these, or {undo}."),
    ("calibration", "", "Are labels right, and of all kinds of rows? If so, recalibrate on the latest ones "
     "(modelmark recalibrate --help), or train again; until then thresholds and costs are off."),
    ("quality", "requests", "See below which code and field callers hear most. If they send what they always sent, {undo}; else "
     "tell them."),
    ("quality", "", "Look at the rows below and ask whoever delivers these columns what changed. The model answers, but on what "
     "it has not learned."),
    ("drift", "", "Did the world change, or a source? Mend a source. If the world changed, labels say whether answers are still "
     "right; then train again."),
    ("service", "traffic", "Ask whoever calls whether they mean to stop, then look at the endpoint: GET /v2/health/ready says what "
     "is wrong with it."),
    ("service", "", "Look at the endpoint's log and at GET /v2/health/ready. If it began with a release, {undo}."),
    ("volume", "labels", "Ask whoever delivers the labels. Until they come nothing says whether answers are still right."),
    ("volume", "", "Ask whoever calls what changed: a caller that fell away, or one that asks twice. If it began with a release, "
     "{undo}."),
    ("steward", "waiver of ", "Mend what the gate {what} found, or have it waived again: modelmark waive --help."),
    ("steward", "age", "Train again on newer data, and register the result: modelmark register."),
    ("steward", "disk", "Make room on the workspace's disk. The endpoint answers again by itself within seconds."),
    ("steward", "records", "Give the journal's folder room: its quota, its disk, or the limit on files of the server's process "
     "(ulimit -f). The endpoint answers again by itself within seconds."),
    ("steward", "unserved", "What served before goes on. GET /v2/health/ready names the request that is answered otherwise here: "
     "compare processor and libraries with lock.txt, or {undo}."),
    ("steward", "acts", "Mend what the sentence names. The steward tries again every few minutes."),
    ("steward", "", "Run modelmark verify, then modelmark journal salvage. When the loss is understood: "
     "modelmark alerts close {id} --reason WHY."),
    ("", "", "Look at the rows below, and at what the package that brings this monitor says of it."),
)  # fmt: skip


def next_step(alert: Alert) -> str:
    """Commands in it work as they stand, with a reason of one's own for WHY."""
    text = next(
        t for monitor, subject, t in _STEPS if monitor in ("", alert.monitor) and alert.subject.startswith(subject)
    )
    back = f"modelmark rollback --model {alert.model} --reason WHY"
    undo = f"end the canary: {back}" if alert.details.arm == ArmRole.CANARY else f"go back: {back}"
    return text.format(undo=undo, id=alert.id, what=alert.subject.removeprefix("waiver of "))
