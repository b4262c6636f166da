"""What follows an act that is done, whether workers have heard of it yet or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from modelmark.domain.errors import NotYet


def not_published(done: str, error: Exception) -> NotYet:
    """The act is done, and what workers follow could not be written."""
    return NotYet(
        f"{done}, but workers do not know yet: the snapshot could not be written: {error}",
        code="NOT_PUBLISHED",
        hint="nothing is to be done again: the steward writes it as soon as it can be, and so does the next act",
    )


@contextmanager
def done_although_unpublished(then: Callable[[], None]) -> Iterator[None]:
    """Around one act: `then` is called when it was done, also where NOT_PUBLISHED is raised on; not when it was refused."""
    try:
        yield
    except NotYet as error:
        if error.code == "NOT_PUBLISHED":
            then()
        raise
    then()
