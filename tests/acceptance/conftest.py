"""A released version is expensive, so each test process makes one and every test takes a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

import candidates
from candidates import Candidate
from child_here import sandbox_here
from journey import Place, silent, small


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The usual model, registered, checked, approved and released. Never change it: take `released`."""
    place = small(tmp_path_factory.mktemp("template"))
    place.champion()
    return place


@pytest.fixture
def released(template: Place, tmp_path: Path) -> Place:
    """A copy of a place whose champion is v1."""
    return template.copy(tmp_path / "place")


@pytest.fixture(scope="session")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Candidate, str]:
    """The sound candidate of the to-dos, checked, and the draft that its people filled in. Plant mistakes in copies."""
    return candidates.sound(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="session")
def good(drafted: tuple[Candidate, str]) -> Candidate:
    return drafted[0]


@pytest.fixture(scope="session")
def signed(good: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """The sound candidate with everybody's approval, not yet released."""
    place = good.place.copy(tmp_path_factory.mktemp("signed") / "place")
    signed = Candidate(place)
    place.approve(signed.app, signed.version)
    return signed


@pytest.fixture(scope="session")
def unfilled(drafted: tuple[Candidate, str], tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """A candidate whose contract is the draft: people were not asked."""
    place = drafted[0].place.copy(tmp_path_factory.mktemp("unfilled") / "place")
    place.contract.write_text(drafted[1], "utf-8")
    with sandbox_here():
        place.app().register(place.contract, progress=silent)
    return Candidate(place)


@pytest.fixture(scope="session")
def restless(good: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    """A candidate whose answers depend on the rows they were asked with."""
    return good.planted(tmp_path_factory.mktemp("restless") / "place", model=candidates.graph(by_batch=True))
