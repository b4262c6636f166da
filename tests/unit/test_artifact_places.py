"""Addresses and places of model files in MLflow: what could lead elsewhere is refused before anything is fetched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelmark.domain.errors import Rejected
from modelmark.registry.artifact_places import require_address, require_no_links, require_place
from modelmark.registry.mlflow_folder import model_file

RUN = "a" * 32
GOOD = (f"runs:/{RUN}/model", f"runs:/{RUN}", f"runs:/{RUN}/a/b/model.onnx", "models:/churn/3", "models:/churn@champion",
        "models:/Churn model/Production", "models:/m-0123456789abcdef", "models:/päckchen/1", f"runs:/{RUN}/..model")  # fmt: skip
BAD = (
    f"runs:/{RUN}/../../../etc/passwd", f"runs:/{RUN}/..", f"runs:/{RUN}/a/../b", f"runs:/{RUN}/./a", "runs:/../x", "runs://etc/passwd",
    "runs://host/a", f"runs:/{RUN}//etc/passwd", "runs:////proc/self/root", f"runs:/{RUN}/%2e%2e/x", f"runs:/{RUN}/%252e%252e/x",
    f"runs:/{RUN}/..\\..\\x", f"runs:/{RUN}/a?a=/../../etc", f"runs:/{RUN}/a#/../../etc", f"runs:/{RUN}/a;b", f"runs:/{RUN}/a\x00b",
    f"runs:/{RUN}/a\nb", "models:/", "models:/../x/1", "models:/a/..", "models://evil.example/a/1", "models:/a%2f..%2fb/1",
    "models:/http://evil.example/1", "models:/C:\\x/1", "models:/file:/etc/1", "runs:/" + "a" * 3000, "runs:/" + "/a" * 50,
    "file:///etc/passwd", "http://evil.example/x", "s3://bucket/x", "models:/a/1\x1b[31m",
)  # fmt: skip


@pytest.mark.parametrize("address", GOOD)
def test_plain_names_are_addresses(address: str):
    require_address(address)


@pytest.mark.parametrize("address", BAD)
def test_an_address_that_could_lead_elsewhere_is_none(address: str):
    with pytest.raises(Rejected) as caught:
        require_address(address)
    assert (caught.value.code, caught.value.field) == ("BAD_ADDRESS", "model.source")


ROOT = "s3://bucket/1/abc/artifacts"
ELSEWHERE = (
    "s3://bucket/1/abcd/artifacts/m", "s3://bucket/1/abc/artifacts-of-another/m", "s3://other/1/abc/artifacts/m",
    "gs://bucket/1/abc/artifacts/m",
    
    f"{ROOT}/../../x", f"{ROOT}/%2e%2e/x", f"{ROOT}/m?versionId=1", f"{ROOT}/m#x", f"{ROOT}/m;x", f"{ROOT}\\..\\x", 
    "file:///etc/passwd", "/etc/passwd", "http://169.254.169.254/latest", "https://bucket/1/abc/artifacts/m", "ftp://bucket/x", "",
    "s3://bucket", "s3:///1/abc/artifacts/m",
    "s3://bucket@evil/1/abc/artifacts/m", "s3://bucket:80/1/abc/artifacts/m",
)  # fmt: skip


@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_place_outside_the_run_s_own_is_refused(place: str):
    with pytest.raises(Rejected) as caught:
        require_place(place, [ROOT], tracking="https://mlflow.example")
    assert caught.value.code == "UNSAFE_PLACE"


@pytest.mark.parametrize("place", [ROOT, f"{ROOT}/m", f"{ROOT}/m/model.onnx", f"{ROOT}/with blank/..m"])
def test_a_place_of_the_run_is_fetched(place: str):
    assert require_place(place, [ROOT], tracking="https://mlflow.example") is None


@pytest.mark.parametrize(
    "root",
    ["http://evil.example/a", "https://evil.example/a", "ftp://evil.example/a", "gopher://evil/a", "sftp://evil/a"],
)
def test_no_place_chooses_a_host_to_call(root: str):
    with pytest.raises(Rejected) as caught:
        require_place(f"{root}/m", [root], tracking="sqlite:///x")
    assert caught.value.code == "UNSAFE_PLACE"


@pytest.mark.parametrize("root", ["/srv/artifacts", "file:///srv/artifacts"])
def test_an_mlflow_on_the_network_names_no_file_of_ours(root: str):
    with pytest.raises(Rejected):
        require_place(f"{root}/m", [root], tracking="http://mlflow.example:5000")
    assert require_place(f"{root}/m", [root], tracking="sqlite:///mlflow.db") == Path("/srv/artifacts/m")


@pytest.mark.parametrize("root", ["", "/", "file:///", "s3://bucket"])
def test_a_root_that_is_everything_is_none(root: str):
    with pytest.raises(Rejected):
        require_place(f"{root}/etc/passwd", [root], tracking="sqlite:///x")


def test_links_and_pipes_among_the_files_are_refused(tmp_path: Path):
    inside = tmp_path / "m" / "data"
    inside.mkdir(parents=True)
    (inside / "model.pkl").write_bytes(b"x")
    require_no_links(tmp_path)
    require_place(str(tmp_path / "m"), [str(tmp_path)], tracking="sqlite:///x")
    for name, make in {
        "file": lambda path: path.symlink_to("/etc/hostname"), "folder": lambda path: path.symlink_to("/etc"),
        "nothing": lambda path: path.symlink_to("/nowhere"), "inside": lambda path: path.symlink_to(inside / "model.pkl"),
        "pipe": lambda path: os.mkfifo(path),
    }.items():  # fmt: skip
        odd = inside / name
        make(odd)
        with pytest.raises(Rejected, match=f"{name} in it is a link, or no file"):
            require_place((tmp_path / "m").as_uri(), [tmp_path.as_uri()], tracking="sqlite:///x")
        odd.unlink()
    link = tmp_path / "link"  # before the place, not below it
    link.symlink_to(inside)
    with pytest.raises(Rejected):
        require_place(str(link), [str(tmp_path)], tracking="sqlite:///x")
    with pytest.raises(Rejected):
        require_place(str(link / "model.pkl"), [str(tmp_path)], tracking="sqlite:///x")


MLMODELS = (
    "", "[1, 2]", "flavors: 3", "flavors: {sklearn: 3}", "flavors: {sklearn: {pickled_model: [a]}}", "[" * 100_000,
    "flavors: !!python/name:os.system x", "flavors: {sklearn: {pickled_model: ../../secret}}", "a: &a [x]\nflavors: *a",
    "flavors: {sklearn: {pickled_model: /etc/passwd}}", "flavors: {onnx: {data: nothing.onnx}}", "flavors: {other: {}}",
)  # fmt: skip


@pytest.mark.parametrize("text", MLMODELS, ids=lambda text: text[:40])
def test_an_mlmodel_that_a_stranger_wrote_names_a_file_of_its_own_folder_or_none(text: str, tmp_path: Path):
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(Rejected) as caught:
        model_file(tmp_path, "runs:/x")
    assert caught.value.code in ("NOT_A_MODEL", "UNKNOWN_FLAVOUR")


def test_an_mlmodel_with_a_long_signature_is_read(tmp_path: Path):
    (tmp_path / "model.pkl").write_bytes(b"x")
    (tmp_path / "MLmodel").write_text(
        f"flavors: {{sklearn: {{pickled_model: model.pkl}}}}\nsignature: '{'x' * 100_000}'\n"
    )
    assert model_file(tmp_path, "runs:/x") == ((tmp_path / "model.pkl").resolve(), False)
