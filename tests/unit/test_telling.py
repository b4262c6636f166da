"""What happens at every request does not fill the log."""

from __future__ import annotations

from modelmark.serving.telling import Again


def test_what_repeats_is_told_at_once_and_then_counted() -> None:
    said: list[str] = []
    now = [0.0]
    tell = Again(10.0, say=said.append, clock=lambda: now[0])
    for _ in range(5000):
        tell("model churn v1 failed: Quarantined")
    tell("another fault")
    assert said == ["model churn v1 failed: Quarantined", "another fault"]
    now[0] = 10.0
    tell("a third")
    assert said[2:] == ["model churn v1 failed: Quarantined (4,999 times)", "a third"], (
        "told although it happens no more"
    )
    for at in range(100):
        now[0] = 30.0 + at * 20
        tell(f"fault {at}")
    assert len(tell._known) == 1, "what is over is forgotten"
