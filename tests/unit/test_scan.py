"""A pickle is read by a child that does not open it; scanners are tripwires beside the closed list."""

import joblib
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import models
from modelmark.domain import errors
from modelmark.registry import sandbox, scan


def saved(tmp_path, model, **how):
    joblib.dump(model, tmp_path / "model", **how)
    return tmp_path / "model"


@pytest.fixture(scope="module")
def sound():
    table = models.frame(60, 1)
    return LogisticRegression().fit(table[models.NUMERIC], table["y"])


def test_a_sound_model_passes_and_its_own_words_are_known(tmp_path, sound):
    found = scan.scan(saved(tmp_path, sound, compress=("xz", 3)), sandbox.Limits())
    assert found.silent == ()
    assert {"LogisticRegression", "lbfgs", *models.NUMERIC} <= found.words


def test_what_a_scanner_finds_is_never_opened(tmp_path, sound, monkeypatch):
    monkeypatch.setattr(
        scan.scanners, "scan", lambda name, streams, seconds: ["a thing"] if name == "picklescan" else []
    )
    with pytest.raises(errors.Rejected, match="picklescan finds a thing; the model was not opened") as caught:
        scan.scan(saved(tmp_path, sound), sandbox.Limits())
    assert caught.value.code == "UNSAFE_ARTIFACT"


def test_a_scanner_that_is_not_there_is_named(tmp_path, sound, monkeypatch):
    def absent(*_):
        raise errors.Unmeasured("the scanner is not installed")

    monkeypatch.setattr(scan.scanners, "scan", absent)
    assert scan.scan(saved(tmp_path, sound), sandbox.Limits()).silent == scan.SCANNERS


def test_a_scanner_that_gives_up_on_a_large_pickle_has_not_found_anything(monkeypatch):
    for said, expected in (
        (["ResourceExhaustion: many"], None),
        (["ResourceExhaustion: many", "os.system"], ["os.system"]),
    ):
        monkeypatch.setattr(scan.scanners, "scan", lambda *_, said=said: said)
        assert scan._hits("fickling", [b"."]) == expected


def test_a_large_vocabulary_is_no_bomb(tmp_path):
    model = TfidfVectorizer().fit([f"word{i} other{i}" for i in range(60_000)])
    found = scan.scan(saved(tmp_path, model, compress=3), sandbox.Limits())
    assert found.silent == scan.SCANNERS, "nobody claims that they looked"


def test_code_of_somebodys_own_is_told_apart_from_an_attack(tmp_path):
    (tmp_path / "own").write_bytes(b"cmycompany.models\nModel\n.")
    with pytest.raises(errors.Rejected, match=r"mycompany\.models\.Model") as caught:
        scan.scan(tmp_path / "own", sandbox.Limits())
    assert caught.value.code == "FOREIGN_CODE"
