"""A released version is expensive, so each test process makes one and every test takes a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from journey import Place, small


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
