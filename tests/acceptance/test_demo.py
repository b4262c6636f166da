"""The demo keeps what it promises. Slow: about two minutes."""

from __future__ import annotations

from journey import Place


def test_the_demo_catches_every_planted_mistake(tmp_path):
    told = Place(tmp_path).run("demo", "--exit", "--json").json
    assert told["caught"] is True, told
    assert len(told["steps"]) == 7
    assert all(step["caught"] for step in told["steps"]), told
    assert list(tmp_path.iterdir()) == []
