"""A version that serves comes from its folder, or from the copy of when that was well; never from nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

import serving_case as case
from modelmark.domain.errors import Missing, Tampered
from modelmark.domain.version import ARTIFACT
from modelmark.seal import keys
from modelmark.serving.believed import Believed


@pytest.fixture
def built(tmp_path: Path) -> case.Built:
    return case.build(tmp_path, case.contract())


def test_a_damaged_folder_gives_way_to_its_copy_and_without_one_tells_its_own_fault(built: case.Built) -> None:
    verifier, believed = keys.verifier(built.workspace.keys), Believed(built.workspace)
    assert believed.load(built.id, verifier)[1] is True
    artifact = built.folder / ARTIFACT
    whole = artifact.read_bytes()
    artifact.write_bytes(whole[:-1])
    with pytest.raises(Tampered):
        believed.load(built.id, verifier)
    artifact.write_bytes(whole)
    assert list(believed.copy([built.id], [built.id])) == []
    artifact.unlink()
    version, own = believed.load(built.id, verifier)
    assert (version.id, own) == (built.id, False)
    assert list(believed.copy([], [])) == []
    with pytest.raises((Missing, Tampered)):
        believed.load(built.id, verifier)


def test_a_snapshot_that_cannot_be_believed_says_so_and_a_missing_one_that_it_is_missing(built: case.Built) -> None:
    verifier, believed = keys.verifier(built.workspace.keys), Believed(built.workspace)
    with pytest.raises(Missing) as missing:
        believed.snapshots(verifier)
    assert missing.value.code == "NO_SNAPSHOT"
    built.workspace.snapshot.parent.mkdir(exist_ok=True)
    for damage in (b"garbage", None):
        if damage is None:
            built.workspace.snapshot.unlink()
            built.workspace.snapshot.mkdir()  # a folder cannot be read
        else:
            built.workspace.snapshot.write_bytes(damage)
        with pytest.raises(Tampered) as caught:
            believed.snapshots(verifier)
        assert caught.value.code == "BAD_SNAPSHOT"
