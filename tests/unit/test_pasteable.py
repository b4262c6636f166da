"""A hint's commands are complete."""

from __future__ import annotations

import pytest
import typer

from modelmark.cli.commands import COMMANDS, _load
from modelmark.cli.pasteable import pasteable


@pytest.mark.parametrize(
    ("text", "words", "becomes"),
    [
        ("next: modelmark check v3", ["status"], "next: modelmark check v3"),
        ("next: modelmark check v3", ["status", "--workspace", "/w"], "next: modelmark check --workspace /w v3"),
        ("modelmark status, then modelmark release v3", ["x", "--workspace=a b"],
         "modelmark status --workspace 'a b', then modelmark release --workspace 'a b' v3"),
        ("modelmark account key ann, modelmark.yaml, Modelmark itself", ["--workspace", "w"],
         "modelmark account key --workspace w ann, modelmark.yaml, Modelmark itself"),
        ("modelmark schema", ["--workspace", "w"], "modelmark schema"),
        ("modelmark audit-decisions t.csv", ["--workspace", "w"], "modelmark audit-decisions t.csv"),
        ("modelmark check", ["--workspace"], "modelmark check"),
    ],
)  # fmt: skip
def test_the_workspace_goes_with_every_command(text, words, becomes):
    assert pasteable(text, words) == becomes


def test_the_workspace_stands_behind_the_second_word_of_every_group():
    groups = [name for name, place in COMMANDS.items() if isinstance(_load(place), typer.Typer)]
    assert len(groups) >= 3
    for name in groups:
        assert pasteable(f"modelmark {name} list", ["--workspace", "w"]) == f"modelmark {name} list --workspace w"
