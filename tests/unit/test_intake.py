"""A model file is opened once and copied from there; what is no plain file is refused before it is read."""

import os
import tracemalloc

import pytest

from modelmark.domain import errors
from modelmark.registry import intake

MOST = 1 << 20


def test_what_is_taken_is_the_file(tmp_path):
    (tmp_path / "model").write_bytes(b"bytes" * 1000)
    intake.take(tmp_path / "model", tmp_path / "taken", MOST)
    assert (tmp_path / "taken").read_bytes() == b"bytes" * 1000
    assert (tmp_path / "taken").stat().st_mode & 0o777 == 0o600


def test_a_link_to_a_file_is_a_file(tmp_path):
    """As DVC keeps them."""
    (tmp_path / "cached").write_bytes(b"bytes")
    (tmp_path / "model").symlink_to("cached")
    intake.take(tmp_path / "model", tmp_path / "taken", MOST)
    assert (tmp_path / "taken").read_bytes() == b"bytes"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (os.mkfifo, "NOT_A_FILE"),
        (os.mkdir, "NOT_A_FILE"),
        (lambda path: os.symlink("/dev/zero", path), "NOT_A_FILE"),
        (lambda path: os.symlink(path, path), "NOT_A_FILE"),
        (lambda path: os.symlink("/proc/self/environ", path), "SOURCE_CHANGED"),
        (lambda path: None, "NO_MODEL"),
        (lambda path: path.write_bytes(bytes(MOST + 1)), "TOO_LARGE"),
    ],
    ids=["a pipe", "a folder", "a device", "a link to itself", "made up by the kernel", "nothing", "too large"],
)
def test_anything_else_is_refused_at_once(tmp_path, make, code):
    make(tmp_path / "model")
    with pytest.raises((errors.Rejected, errors.Missing)) as caught:
        intake.take(tmp_path / "model", tmp_path / "taken", MOST)
    assert caught.value.code == code


def test_a_large_file_that_is_a_hole_is_refused_unread(tmp_path):
    with (tmp_path / "model").open("wb") as file:
        file.write(b"\x80\x04")
        file.truncate(3 << 30)
    with pytest.raises(errors.Rejected) as caught:
        intake.take(tmp_path / "model", tmp_path / "taken", 4 << 30)
    assert caught.value.code == "SPARSE_FILE"
    assert not (tmp_path / "taken").exists()


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_bytes(b"one")
    really = intake._require_plain

    def change(*words):
        really(*words)
        path.write_bytes(b"another")

    monkeypatch.setattr(intake, "_require_plain", change)
    with pytest.raises(errors.Rejected) as caught:
        intake.take(path, tmp_path / "taken", MOST)
    assert caught.value.code == "SOURCE_CHANGED"


def test_a_file_swapped_after_it_was_opened_is_not_what_is_taken(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.write_bytes(b"one")
    really = intake._require_plain

    def swap(*words):
        really(*words)
        (tmp_path / "other").write_bytes(b"two")
        os.replace(tmp_path / "other", path)

    monkeypatch.setattr(intake, "_require_plain", swap)
    intake.take(path, tmp_path / "taken", MOST)
    assert (tmp_path / "taken").read_bytes() == b"one"


def test_memory_does_not_grow_with_the_file(tmp_path):
    (tmp_path / "model").write_bytes(os.urandom(1 << 20) * 64)
    tracemalloc.start()
    intake.take(tmp_path / "model", tmp_path / "taken", 1 << 30)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
