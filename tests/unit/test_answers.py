"""What a child answers is of a closed form, and nothing of its own making is shown."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import models
from modelmark.domain import errors
from modelmark.domain.contract import Outputs
from modelmark.registry import answers, compare, convert, refusal, sandbox, sandbox_child
from modelmark.registry.answers import Answer, Scanned, Walls

SECRET = "the private key"


def left(folder: Path, code: int, result: object, ended: bytes = b"") -> errors.ModelmarkError:
    """The error that the parent makes of what a child left."""
    (folder / "result.json").write_bytes(result if isinstance(result, bytes) else json.dumps(result).encode())
    (folder / "ended.txt").write_bytes(ended)
    with pytest.raises(errors.ModelmarkError) as caught:
        sandbox._answer(code, folder, sandbox.Limits(), Answer, {"known"})
    return caught.value


@pytest.mark.parametrize(
    ("code", "result", "ended", "expected"),
    [
        (sandbox_child.REFUSED, {"reason": "cannot_answer", "kind": SECRET, "names": [SECRET]}, b"", "MODEL_FAILED"),
        (sandbox_child.REFUSED, {"reason": SECRET}, b"", "CRASHED"),
        (sandbox_child.REFUSED, {"reason": "failed", "message": SECRET}, b"", "CRASHED"),
        (sandbox_child.REFUSED, SECRET.encode(), b"", "CRASHED"),
        (sandbox_child.REFUSED, b"[" * 100_000, b"", "CRASHED"),
        (sandbox_child.DONE, {"reason": "failed"}, b"", "CRASHED"),
        (sandbox_child.DONE, {"numbers": [1] * 10_001}, b"", "CRASHED"),
        (sandbox_child.DONE, {"estimator": [SECRET * 100]}, b"", "CRASHED"),
        (sandbox_child.DONE, {"written_by": [SECRET]}, b"", "CRASHED"),
        (sandbox_child.ENDED, {}, SECRET.encode(), "UNSAFE_ARTIFACT"),
        (-31, {"reason": "failed"}, b"", "UNSAFE_ARTIFACT"),
        (-9, {}, b"", "OUT_OF_MEMORY"),
        (-11, {}, b"", "CRASHED"),
        (1, {}, b"", "CRASHED"),
    ],
)  # fmt: skip
def test_whatever_a_child_leaves_the_words_are_ours(tmp_path, code, result, ended, expected):
    error = left(tmp_path, code, result, ended)
    assert error.code == expected
    assert SECRET not in " ".join(str(part) for part in (error, *vars(error).values()))


def test_an_event_of_the_closed_list_is_named(tmp_path):
    assert "os.system" in left(tmp_path, sandbox_child.ENDED, {}, b"os.system").message


def test_a_kernel_without_a_filter_opens_nothing(tmp_path):
    error = left(tmp_path, sandbox_child.NO_WALL, {})
    assert (type(error), error.code) == (errors.NotPermitted, "NO_SANDBOX")


def test_a_text_is_shown_when_the_parent_knew_it():
    found = Answer(reason="no_probabilities", names=["LinearSVC", SECRET])
    assert answers.refusal(found, {"LinearSVC"}).message == "LinearSVC, another gives no probabilities"


def test_parameters_are_recorded_when_their_words_are_known():
    found = {"C": 1.0, "penalty": "l2", "solver": SECRET, SECRET: 1, "n_jobs": None}
    assert answers.plain_parameters(found, {"C", "penalty", "l2", "solver", "n_jobs"}) == {
        "C": "1.0", "penalty": "l2", "n_jobs": "None"
    }  # fmt: skip


def test_every_reason_a_child_can_give_has_words_of_ours():
    folder = Path(refusal.__file__).parent
    text = "".join(path.read_text() for path in folder.glob("*.py"))
    given = {name for name in answers.REASONS if f'Refusal("{name}"' in text or f'"{name}"' in text}
    assert given == answers.REASONS.keys()
    for name in answers.REASONS:
        error = answers.refusal(Answer(reason=name, names=["known"], numbers=[1, 2], kind="ValueError"), {"known"})
        assert "{" not in error.message
        assert error.code != "CRASHED"


@pytest.mark.parametrize(
    ("error", "kind"),
    [(KeyError("x"), "KeyError"), (type("Sly", (ValueError,), {})("x"), "ValueError"), (SystemExit(), "Exception")],
)
def test_errors_go_by_a_name_of_a_closed_list(error, kind):
    assert refusal.kind_of(error) == kind


def test_walls_that_are_missing_are_named():
    bare = Walls(seccomp=True, landlock=0, left=[])
    assert bare.missing == ("Landlock", "network namespace", "process namespace")
    assert Walls(seccomp=True, landlock=7, left=["network", "processes", "/proc"]).missing == ()
    assert Walls(seccomp=False, landlock=7, left=["network", "processes"]).missing == ("seccomp",)


@pytest.mark.parametrize(
    "data", [b"{}", b'{"seccomp": 1, "landlock": 1, "left": []}', b'{"seccomp": true, "landlock": 1, "left": ["the key"]}']
)  # fmt: skip
def test_walls_are_told_in_a_closed_form(data):
    assert answers.decoded(data, Walls) is None


def result(folder: Path) -> sandbox.ChildResult:
    return sandbox.ChildResult(answer=Answer(), walls=Walls(seccomp=True, landlock=1, left=[]), folder=folder)


CONTRACT = models.contract(names=models.NUMERIC, outputs=Outputs(classes=("no", "yes"), positive="yes"))


@pytest.mark.parametrize(
    "scores",
    [
        np.zeros((3, 2)), np.zeros((4, 3)), np.zeros(8), np.zeros((4, 2), np.float32), np.zeros((4, 2), object),
        np.zeros((4, 2), [("a", float)]), np.zeros((4000, 2)),
    ],
    ids=["a row too few", "a class too many", "flat", "of another type", "objects", "records", "many more"],
)  # fmt: skip
def test_scores_of_another_form_are_refused(tmp_path, scores):
    np.save(tmp_path / "scores.npy", scores)
    with pytest.raises(errors.Rejected) as caught:
        convert._array(result(tmp_path), 4, CONTRACT)
    assert caught.value.code == "CONVERSION_FAILED"


def test_scores_of_the_right_form_are_taken(tmp_path):
    np.save(tmp_path / "scores.npy", np.full((4, 2), 0.5))
    assert convert._array(result(tmp_path), 4, CONTRACT).shape == (4, 2)


@pytest.mark.parametrize(
    "make", [lambda p: p.symlink_to("/dev/zero"), lambda p: p.write_bytes(bytes(11))], ids=["a link", "large"]
)
def test_an_output_that_is_no_file_of_its_size_is_not_read(tmp_path, make):
    make(tmp_path / "out")
    with pytest.raises((errors.Rejected, OSError)):
        result(tmp_path).bytes_of("out", 10)


@pytest.mark.parametrize("text", ['{"feeds": 1}', "[]", "{", '{"feeds": [], "score_output": 3}', "[" * 100_000])
def test_a_signature_of_another_form_is_refused(tmp_path, text):
    (tmp_path / "signature.out.json").write_text(text)
    with pytest.raises(errors.Rejected) as caught:
        convert._signature(result(tmp_path))
    assert caught.value.code == "CONVERSION_FAILED"


BINARY = {"task": "binary", "classes": [0, 1], "positive": 1, "threshold": 0.5}


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", [0, 1], ids=["original", "converted"])
def test_a_score_that_is_not_finite_is_a_flipped_decision(broken, side):
    both = [np.array([[0.9, 0.1], [0.8, 0.2]]) for _ in range(2)]
    both[side][1, 0] = broken
    assert compare.parity(*both, BINARY) == (1, 0.0)
    regression = [np.array([[1.0], [2.0], [3.0]]) for _ in range(2)]
    regression[side][1, 0] = broken
    assert compare.parity(*regression, {"task": "regression"})[0] == 1


def test_a_regression_answer_flips_beyond_a_thousandth_of_the_spread():
    original = np.linspace(0, 1, 101).reshape(-1, 1)
    spread = float(original.std())
    for share, flipped in ((0.9e-3, 0), (1.1e-3, 101)):
        assert compare.parity(original, original + share * spread, {"task": "regression"})[0] == flipped


def test_a_scan_is_of_a_closed_form():
    assert answers.decoded(b'{"refused": [["os", "system"]], "hostile": true}', Scanned) is not None
    assert answers.decoded(b'{"refused": [["os"]]}', Scanned) is None
