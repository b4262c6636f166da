"""A version's flavour and files: what names it, what its mark covers, and what older versions say of neither."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import serving_case as case
from modelmark.domain import version as names
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, Tampered
from modelmark.domain.version import File, Version
from modelmark.seal import keys, manifest
from modelmark.seal.digests import canonical, digest_value, plain
from modelmark.seal.mark import open_marked
from modelmark.seal.values import decode, restore
from modelmark.serving.models import load_candidate, load_marked

V1 = Path(__file__).resolve().parents[1] / "golden" / "v1"
FILES = {"weights/main.bin": b"weights", "vocabulary.txt": b"a\nb\n"}


@pytest.fixture
def made(tmp_path: Path):
    return case.build(tmp_path, flavour="scratch", files=FILES)


def opened(made) -> object:
    return open_marked(made.folder, keys.verifier(made.workspace.keys), expected=made.id)


def test_a_version_from_before_there_were_flavours_reads_names_and_digests_the_same():
    data = (V1 / "version" / names.DESCRIPTION).read_bytes()
    found = decode(Version, data)
    assert canonical(found) == data
    assert digest_value(found.components) == found.id == Digest(json.loads((V1 / "facts.json").read_text())["version"])
    assert found.components.flavour == "onnx"
    assert [file.path for file in found.manifest] == list(names.SIGNED_FILES)
    manifest.require_named(found)
    assert "flavour" not in plain(found)["components"]


def test_the_same_graph_has_the_id_it_always_had_and_a_manifest_beside_it(tmp_path: Path):
    made = case.build(tmp_path)
    parts = plain(made.version.components)
    assert sorted(parts) == ["artifact", "contract", "lock", "preprocessing"]
    assert digest_value(parts) == made.id
    for file in made.version.files:
        assert file.size == len((made.folder / file.path).read_bytes())


def test_another_flavour_or_file_is_another_version(made, tmp_path: Path):
    other = case.build(tmp_path, flavour="other", files=FILES)
    more = case.build(tmp_path, flavour="scratch", files={**FILES, "vocabulary.txt": b"a\nc\n"})
    assert len({made.id, other.id, more.id}) == 3
    assert made.version.components.artifact == more.version.components.artifact


def test_the_mark_covers_every_file_and_gives_the_model_its_own(made):
    found = opened(made)
    assert {item["name"] for item in found.statement["subject"]} == {file.path for file in made.version.manifest}
    assert found.files == FILES
    assert next(iter(found.files)) == "weights/main.bin"


@pytest.mark.parametrize("name", [*FILES, names.CONTRACT, names.SIGNATURE, names.LOCK, names.REFERENCE])
def test_a_changed_or_missing_file_is_noticed_and_named(made, name: str):
    path = made.folder / name
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Tampered) as caught:
        opened(made)
    assert caught.value.field == name
    path.unlink()
    with pytest.raises(Tampered, match="is gone"):
        opened(made)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda v: {"files": v.files[:1] + v.files[2:]}, id="a file of the model left out"),
        pytest.param(lambda v: {"files": v.files[1::-1] + v.files[2:]}, id="another main file"),
        pytest.param(lambda v: {"files": ()}, id="no manifest"),
        pytest.param(
            lambda v: {"components": dataclasses.replace(v.components, flavour="other")}, id="another flavour"
        ),
        pytest.param(
            lambda v: {"files": tuple(f for f in v.files if f.path != names.LOCK)}, id="a file beside it left out"
        ),
    ],
)
def test_a_description_that_is_not_what_the_id_names_is_refused(made, change):
    with pytest.raises(Tampered):
        manifest.require_named(dataclasses.replace(made.version, **change(made.version)))
    manifest.require_named(made.version)


@pytest.mark.parametrize("path", ["", ".", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\\b"])
def test_a_path_out_of_the_folder_is_no_file_of_a_version(path: str):
    with pytest.raises(ValueError, match="inside"):
        File(path=path, digest=case.NOTHING)
    with pytest.raises(Tampered):
        restore(File, {"path": path, "digest": str(case.NOTHING)})


def test_a_version_whose_flavour_nobody_provides_does_not_load(made):
    with pytest.raises(Missing, match="scratch"):
        load_marked(made.folder, keys.verifier(made.workspace.keys), made.id)
    with pytest.raises(Missing, match="scratch"):
        load_candidate(made.folder, made.id)


def test_a_candidate_is_only_loaded_from_the_bytes_its_id_names(tmp_path: Path):
    made, other = case.build(tmp_path), case.build(tmp_path, number=2)
    assert load_candidate(made.folder, made.id).label == "staged"
    with pytest.raises(Tampered, match="named after"):
        load_candidate(made.folder, other.id)
    (made.folder / names.CONTRACT).write_bytes(canonical(case.contract(name="other")))
    with pytest.raises(Tampered, match=r"contract\.json"):
        load_candidate(made.folder, made.id)
    (made.folder / names.DESCRIPTION).unlink()
    with pytest.raises(Missing):
        load_candidate(made.folder, made.id)
