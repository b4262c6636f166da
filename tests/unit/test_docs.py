"""Docs say what the code does: every name a user can meet has a heading, every link leads somewhere."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import json
import pkgutil
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import modelmark
from modelmark.cli.commands import COMMANDS
from modelmark.contract.read import parse, schema
from modelmark.domain import errors
from modelmark.domain.catalogue.gates import GATES
from modelmark.domain.catalogue.monitors import MONITORS
from modelmark.domain.people import Role
from modelmark.domain.settings import PREFIX, Settings
from modelmark.testing.catalogue import check_gate_row

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def headings(page: str) -> set[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return set(re.findall(r"^#+ (.+)$", text, re.MULTILINE))


def error_names() -> list[str]:
    kinds = [errors.ModelmarkError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    return [kind.__name__ for kind in kinds if kind.__module__ == errors.__name__]


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("settings.md", [PREFIX + field.name.upper() for field in dataclasses.fields(Settings)]),
        ("gates.md", list(GATES)),
        ("monitors.md", list(MONITORS)),
        ("commands.md", list(COMMANDS)),
        ("errors.md", error_names()),
        ("contract.md", [role.value for role in Role]),
    ],
)
def test_every_name_has_a_heading(page: str, names: list[str]) -> None:
    assert names
    assert set(names) - headings(page) == set()


@pytest.mark.parametrize("name", list(GATES))
def test_every_gate_has_a_page_that_says_what_it_measures_and_what_it_cannot_see(name: str) -> None:
    """And a whole row: settings with ranges, readers, tiles that are there, code that is its own."""
    check_gate_row(GATES[name], ROOT / "docs")


def test_the_error_tree_in_its_docstring_is_complete() -> None:
    assert errors.__doc__ is not None
    assert [name for name in error_names() if name not in errors.__doc__] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```$", "", path.read_text(encoding="utf-8"))  # a file shown is not a link followed
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_the_contract_in_the_docs_is_a_contract() -> None:
    text = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert yaml.safe_load(example)["name"] == "churn"
    assert parse(example.encode(), Path("modelmark.yaml")).contract.unfilled() == ()


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs" / "adr").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def modules() -> list[str]:
    found = [info.name for info in pkgutil.walk_packages(modelmark.__path__, "modelmark.")]
    return [name for name in found if ".migrations" not in name and not name.endswith("__main__")]


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_run(name: str) -> None:
    source = Path(ROOT / "src" / Path(*name.split(".")))
    path = source.with_suffix(".py") if source.with_suffix(".py").exists() else source / "__init__.py"
    if ">>>" not in path.read_text(encoding="utf-8"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{name} does not say what it is"
        return
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried
    assert failed == 0


def test_no_committed_file_names_an_index_host_or_a_path_of_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    hosts = ["py" + "pi.org", "python" + "hosted", "npm" + "js.org", "deb" + ".debian"]
    machine = re.compile(r"(?<![\w.$}])/(wo" + r"rk|ro" + r"ot|fa" + r"rm)/[a-z]")
    found = []
    for name in filter(None, listed):
        data = (ROOT / name).read_bytes() if (ROOT / name).exists() else b""
        if b"\0" in data:
            continue
        text = data.decode("utf-8", "replace")
        found += [name for host in hosts if host in text]
        found += [name for _ in machine.finditer(text)]
    assert found == []


def test_the_published_schema_is_the_schema() -> None:
    published = json.loads((ROOT / "docs" / "modelmark.schema.json").read_text(encoding="utf-8"))
    assert published == json.loads(json.dumps(schema())), "run: modelmark schema --out docs/modelmark.schema.json"
