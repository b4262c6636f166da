"""Templates and what all of them share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from modelmark.domain.evidence import Verdict
from modelmark.domain.people import Permission, Role
from modelmark.domain.waived import waived
from modelmark.seal.digests import digest_value
from modelmark.web.authenticator import form_of
from modelmark.web.glossary import GLOSSARY
from modelmark.web.periods import SPANS


class Templates:
    """Renders a page for whoever asked. Everything is escaped; an unknown name is an error."""

    def __init__(self, asset: Callable[[str], str]) -> None:
        """asset: the address of a file under /static."""
        self._environment = Environment(
            loader=PackageLoader("modelmark.web", "templates"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "utc": _utc,
            "waived": waived,
            "sentence": lambda text: text[:1].upper() + text[1:],
            "digest": digest_value,
            "words": lambda text: str(text).replace("_", " "),
        }
        self._environment.globals.update(
            asset=asset, Verdict=Verdict, Permission=Permission, roles=list(Role), glossary=GLOSSARY, spans=list(SPANS)
        )

    async def render(self, request: Request, template: str, *, http_status: int = 200, **values: Any) -> Response:
        shared = {"by": getattr(request.state, "principal", None), "form": _form(request)}
        page = self._environment.get_template(template)
        return HTMLResponse(await run_in_threadpool(page.render, {**shared, **values}), http_status)


def _form(request: Request) -> str:
    return form_of(request) if hasattr(request.state, "principal") else ""


def _utc(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
