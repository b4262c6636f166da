"""Black-box attacks of the adversarial-robustness-toolbox on one row's numbers. The only file that knows art."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.catalogue.gate_settings import Attack

Array = NDArray[Any]

_STARTS: Final = 50  # points drawn to find one on the other side


def closest(kind: Attack, ask: Callable[[Array], Array], start: Array, classes: int, queries: int) -> Array:
    """The point the attack ends at, shape (columns,), all in 0..1; where it found nothing, near the start.

    ask: points of shape (n, columns) -> scores of shape (n, classes). It decides what a point means, so an attack
    cannot leave what is allowed. queries: about how many answers it may ask for.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # art warns of frameworks that are not installed
        logging.getLogger("art").setLevel(logging.ERROR)
        from art.estimators.classification import BlackBoxClassifier

        def predict(points: Any) -> Array:
            return ask(np.asarray(points, dtype=np.float64))

        model = BlackBoxClassifier(predict, (len(start),), classes, clip_values=(0.0, 1.0))
        attack = _attack(kind, model, queries)
        begin = None if kind is Attack.ZOO else _other_side(ask, start)
        if begin is None and kind is not Attack.ZOO:
            return start
        with _seeded():
            found = attack.generate(x=start[None].astype(np.float32), x_adv_init=begin)
    return np.asarray(found[0], dtype=np.float64)


def _other_side(ask: Callable[[Array], Array], start: Array) -> Array | None:
    """The nearest of some seeded points that are decided otherwise, shape (1, columns); None where all are alike.

    art would draw them itself, from a generator nobody can seed.
    """
    points = np.random.default_rng(0).uniform(size=(_STARTS, len(start))).astype(np.float32)
    said = ask(np.vstack([start.astype(np.float32), points]).astype(np.float64)).argmax(axis=1)
    other = np.flatnonzero(said[1:] != said[0])
    if not len(other):
        return None
    nearest = other[np.abs(points[other] - start).max(axis=1).argmin()]
    return np.asarray(points[nearest][None], dtype=np.float32)


@contextmanager
def _seeded() -> Iterator[None]:
    """art draws from numpy's global generator: the same draws each time, and the caller's state back afterwards."""
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)


def _attack(kind: Attack, model: Any, queries: int) -> Any:
    from art.attacks.evasion import BoundaryAttack, HopSkipJump, ZooAttack

    if kind is Attack.HOP_SKIP_JUMP:
        rounds = 5
        most = max(queries // (2 * rounds), 10)
        return HopSkipJump(
            model, norm="inf", max_iter=rounds, max_eval=most, init_eval=min(most, 20), init_size=50, verbose=False
        )
    if kind is Attack.BOUNDARY:
        return BoundaryAttack(model, targeted=False, max_iter=max(queries // 40, 5), num_trial=10, verbose=False)
    return ZooAttack(
        model,
        max_iter=max(queries // 20, 5),
        binary_search_steps=2,
        use_resize=False,
        use_importance=False,
        nb_parallel=1,
        batch_size=1,
        variable_h=0.05,
        verbose=False,
    )
