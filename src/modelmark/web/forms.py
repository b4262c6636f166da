"""What a form or a JSON object says, as text, within limits."""

from __future__ import annotations

from typing import Any, Final

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request

from modelmark.contract import jsontext
from modelmark.domain.errors import Malformed, TooLarge
from modelmark.web.bounds import BODY

FIELDS: Final = 64


async def read_form(request: Request) -> FormData:
    """The form's fields; none for a body of another kind. Raises Malformed for one that cannot be read or brings files,
    TooLarge for more than `FIELDS` fields."""
    try:
        found = await request.form(max_files=0, max_fields=2 * FIELDS, max_part_size=BODY)
    except HTTPException as error:
        raise Malformed(
            f"the form cannot be read: {error.detail}",
            code="BAD_FORM_DATA",
            field="body",
            limit=f"{FIELDS} fields, no files",
        ) from None
    if len(found.multi_items()) > FIELDS:
        raise _too_many()
    _require_text({key: str(value) for key, value in found.multi_items()})
    return found


async def posted(request: Request) -> dict[str, str]:
    """The form's fields, or a JSON object's, as text. Raises Malformed, TooLarge."""
    if request.headers.get("content-type", "").startswith("application/json"):
        return _from_json(await request.body())
    return {key: str(value) for key, value in (await read_form(request)).items()}


def _from_json(body: bytes) -> dict[str, str]:
    found: Any = jsontext.read(body)
    if not isinstance(found, jsontext.Pairs):
        raise Malformed("the body is not a JSON object", code="MALFORMED", field="body", limit="an object")
    if len(found) > FIELDS:
        raise _too_many()
    for name in found.duplicates:
        raise Malformed("a field came twice", code="DUPLICATE_FIELD", field=jsontext.shown(name))
    for key, value in found.items():
        if isinstance(value, (dict, list)):
            raise Malformed("a field is no text", code="MALFORMED", field=jsontext.shown(key), limit="text or a number")
    return _require_text({key: str(value) for key, value in found.items()})


def _require_text(fields: dict[str, str]) -> dict[str, str]:
    """Raises Malformed for what no UTF-8 can carry, half of a surrogate pair, and for NUL, which no database takes."""
    for key, value in fields.items():
        if not jsontext.well_formed(key + value) or "\x00" in key + value:
            raise Malformed("this is not text", code="MALFORMED", field=ascii(key)[:63], limit="text without NUL")
    return fields


def _too_many() -> TooLarge:
    return TooLarge("there are too many fields", code="TOO_MANY_FIELDS", field="body", limit=f"{FIELDS} fields")
