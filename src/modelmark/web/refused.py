"""A refused act: which status it has, and the page it came from, shown again with the reason and what was typed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from modelmark.domain import errors
from modelmark.web.forms import read_form

#: Which status each error has. The first kind that fits counts.
STATUS: Final[tuple[tuple[type[errors.ModelmarkError], int], ...]] = (
    (errors.Missing, 404),
    (errors.NotPermitted, 403),
    (errors.Conflict, 409),
    (errors.TooLarge, 413),
    (errors.Rejected, 400),
    (errors.TimedOut, 408),
    (errors.Overloaded, 429),
    (errors.NotYet, 503),
    (errors.ModelmarkError, 500),
)
#: When to ask again what is not there now.
RETRY_SECONDS: Final = 5
#: Codes that have a status of their own.
_BY_CODE: Final = {"SIGN_IN": 401, "ADDRESS_TOO_LONG": 414, "HEADERS_TOO_LARGE": 431}


def status_of(error: errors.ModelmarkError) -> int:
    return _BY_CODE.get(error.code) or next(status for kind, status in STATUS if isinstance(error, kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """error: why. act: the last word of the address, which names the form. typed: its fields, each with all its values."""

    error: errors.ModelmarkError
    act: str
    typed: dict[str, list[str]]

    def was(self, act: str, field: str, otherwise: str = "") -> str:
        """What was typed into a field of that act's form, or what else it holds."""
        return self.typed.get(field, [otherwise])[0] if act == self.act else otherwise


#: A page that nothing was typed into.
NOTHING: Final = Refused(error=errors.ModelmarkError(""), act="", typed={})
#: Fields that are never shown again.
SECRET: Final = frozenset({"password", "now", "form", "ticket"})


class Page(Protocol):
    def __call__(self, request: Request, *, refused: Refused) -> Awaitable[Response]: ...


def kept(act: Callable[[Request], Awaitable[Any]], page: Page) -> Callable[[Request], Awaitable[Any]]:
    """The act; when it is refused, the page with the reason, and its form as it was sent. Machines get the error alone.

    Only what the act itself refuses is shown so: a form from elsewhere is turned away before, and fills in nothing here.
    """

    async def tried(request: Request) -> Any:
        form = await read_form(request)  # one that cannot be read has nothing to keep
        try:
            return await act(request)
        except errors.Missing:
            raise  # what the page is about is not there
        except errors.ModelmarkError as error:
            if "authorization" in request.headers:
                raise
            typed = {name: [str(v) for v in form.getlist(name)] for name in form if name not in SECRET}
            answer = await page(
                request, refused=Refused(error=error, act=request.url.path.rsplit("/", 1)[-1], typed=typed)
            )
            answer.status_code = status_of(error)
            if isinstance(error, errors.NotYet):
                answer.headers["retry-after"] = str(getattr(error, "retry_after", RETRY_SECONDS))
            return answer

    return tried
