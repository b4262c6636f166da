"""What every flavour must keep, ours and yours: `check_flavour` raises AssertionError naming the promise that broke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.version import Signature
from modelmark.serving.flavours import Flavour, FlavourKind, Runs

#: How far apart float32 arithmetic may bring a row's answer in a batch and alone.
TOLERANCE: Final = 1e-5

Scores = NDArray[np.float64]


def check_flavour(
    kind: FlavourKind,
    files: Mapping[str, bytes],
    signature: Signature,
    *,
    numeric: Sequence[str],
    textual: Sequence[str] = (),
    numbers: Scores,
    texts: Sequence[str] = (),
    width: int,
) -> Scores:
    """The same answers asked twice, after a reload, in a batch, alone, in another order, and from two threads unless it
    stays on the loop; rows untouched, answers the guard may write to; a main file that is no model refused.

    files: the model's, by path, the main one first. numbers: (rows, numeric inputs), at least two rows that differ.
    texts: row-major. width: scores per row.
    Returns the scores, for the author to compare with what the original model says.
    """
    assert len(numbers) >= 2, "the kit needs two rows"
    flavour = kind(files, signature, numeric=numeric, textual=textual)
    rows, words = np.array(numbers, np.float64), list(texts)
    rows.setflags(write=False)  # as the server's rows are
    scores = flavour.run(rows, words)
    kept = scores.copy()
    assert scores.dtype == np.float64, f"scores are {scores.dtype}, not float64"
    assert scores.shape == (len(rows), width), f"scores have shape {scores.shape}, not {(len(rows), width)}"
    assert np.isfinite(scores).all(), "scores of sound rows are not finite"
    assert np.array_equal(rows, numbers, equal_nan=True), "it changed the numbers"
    assert words == list(texts), "it changed the texts"
    assert np.array_equal(flavour.run(rows, words), kept), "asked twice, it says otherwise"
    _require_rows(flavour, rows, words, kept, len(textual))
    assert scores.flags.writeable, "the guard may not write to the scores"
    assert np.array_equal(scores, kept), "a later run wrote to the scores of an earlier one"
    again = kind(files, signature, numeric=numeric, textual=textual)
    assert np.array_equal(again.run(rows, words), kept), "reloaded, it says otherwise"
    assert flavour.runs in Runs, "it does not say where it runs"
    if flavour.runs is not Runs.LOOP:
        _require_threads(flavour, rows, words, kept)
    main, sound = next(iter(files.items()))
    for broken in (b"", b"\0" * 64, sound[: len(sound) // 2]):
        loaded = _loads(kind, {**files, main: broken}, signature, numeric, textual)
        assert not loaded, f"{len(broken)} bytes that are no model loaded"
    return kept


def _require_rows(flavour: Flavour, rows: Scores, words: list[str], scores: Scores, texts: int) -> None:
    """A row's answer is its own."""
    for at in range(len(rows)):
        alone = flavour.run(rows[at : at + 1], words[at * texts : (at + 1) * texts])
        assert alone.shape == (1, scores.shape[1]), f"one row alone has shape {alone.shape}"
        assert np.allclose(alone[0], scores[at], rtol=TOLERANCE, atol=TOLERANCE), f"row {at} alone: another answer"
    turned = [word for at in reversed(range(len(rows))) for word in words[at * texts : (at + 1) * texts]]
    found = flavour.run(np.ascontiguousarray(rows[::-1]), turned)
    assert np.allclose(found[::-1], scores, rtol=TOLERANCE, atol=TOLERANCE), "in another order, it says otherwise"


def _require_threads(flavour: Flavour, rows: Scores, words: list[str], scores: Scores) -> None:
    """Runs beside one another answer as runs alone."""
    with ThreadPoolExecutor(2) as threads:
        beside = list(threads.map(lambda _: flavour.run(rows, words), range(8)))
    assert all(np.array_equal(found, scores) for found in beside), "two threads at a time get other answers"


def _loads(
    kind: FlavourKind, files: Mapping[str, bytes], signature: Signature, numeric: Sequence[str], textual: Sequence[str]
) -> bool:
    try:
        kind(files, signature, numeric=numeric, textual=textual)
    except Exception:  # noqa: BLE001  # a runtime raises what it likes; that it raises is the promise
        return False
    return True
