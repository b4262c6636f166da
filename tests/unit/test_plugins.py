"""What installed packages bring: listed beside ours, loaded on use, and loud when it cannot be."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from modelmark.domain.errors import Conflict, NotYet
from modelmark.serving import flavours, plugins, wire

OURS = {"native": "modelmark.serving.wire.native:Native"}


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch):
    """Makes entry points of a group, as installed packages would."""

    def announce(**named: str) -> None:
        found = [EntryPoint(name, value, "some.group") for name, value in named.items()]
        monkeypatch.setattr(plugins, "entry_points", lambda group: found if group == "some.group" else [])

    return announce


def test_packages_come_after_ours_by_name(announced):
    announced(zebra="z:Z", ape="a:A")
    assert list(plugins.listed("some.group", OURS)) == ["native", "ape", "zebra"]


def test_a_name_that_is_taken_is_a_conflict_and_the_same_thing_twice_is_none(announced):
    announced(native=OURS["native"])
    assert plugins.listed("some.group", OURS) == OURS
    announced(native="other:Native")
    with pytest.raises(Conflict, match="native"):
        plugins.listed("some.group", OURS)


@pytest.mark.parametrize("path", ["no.such.module:Thing", "modelmark.serving.wire:Nothing"])
def test_one_that_cannot_be_loaded_is_named(path: str):
    with pytest.raises(NotYet, match="the plugin mine cannot be loaded") as caught:
        plugins.load("mine", path)
    assert caught.value.code == "PLUGIN_FAILED"


@pytest.mark.parametrize("table", [wire.BUILTIN, flavours.BUILTIN])
def test_every_one_of_ours_loads(table):
    for name, path in table.items():
        assert callable(plugins.load(name, path))


def test_every_protocol_is_installed_and_says_which_headers_it_reads():
    found = wire.installed()
    assert len(found) >= len(wire.BUILTIN)
    assert all(name == name.lower() for one in found for name in one.headers)
