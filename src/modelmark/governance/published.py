"""What follows an act that is done, whether workers have heard of it yet or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from modelmark.domain.errors import NotYet


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
