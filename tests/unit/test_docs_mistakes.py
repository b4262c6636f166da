"""The twelve mistakes have a page each, from the README and from each other's index; what they say to type can be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from modelmark.cli.commands import app
from modelmark.governance.scorecards import TWELVE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "mistakes"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
TITLES = list(TWELVE)


def commands(text: str) -> list[str]:
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("modelmark ")]


def test_each_mistake_of_the_scorecard_has_a_page_of_its_name() -> None:
    assert [page.read_text("utf-8").splitlines()[0] for page in PAGES] == [f"# {title}" for title in TITLES]
    assert [page.name for page in PAGES] == [
        f"{int(title.split('.')[0]):02}-{re.sub(r'[^a-z]+', '-', title.lower()).strip('-')}.md" for title in TITLES
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_goes_wrong_what_is_done_and_what_is_not(page: Path) -> None:
    text = page.read_text("utf-8")
    for heading in ("**What goes wrong.**", "**What Modelmark does**", "**See it**", "**Not yet.**"):
        assert text.count(heading) == 1, heading
    assert commands(text), "a command that shows it"
    assert f"({page.name})" in (FOLDER / "README.md").read_text("utf-8")
    rows = [
        line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if f"docs/mistakes/{page.name}" in line
    ]
    assert len(rows) == 1
    assert rows[0].startswith(f"| [{text.splitlines()[0][2:]}]("), "the table's row has the page's title"


@pytest.mark.parametrize("line", sorted({line for page in PAGES for line in commands(page.read_text("utf-8"))}))
def test_what_a_page_says_to_type_is_understood(line: str) -> None:
    group = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    context = group.make_context("modelmark", list(words))  # raises where a command or an option is not known
    while hasattr(group, "commands"):
        name, words = words[0], words[1:]
        group = group.commands[name]
        context = group.make_context(name, list(words), parent=context)
    assert context.params is not None
