"""A real dashboard over a workspace with some hours of life in it, and a real browser."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from builders import workspace as made
from builders.workspace import Lived
from modelmark.app.control_plane import ControlPlane
from modelmark.serving.http.listening import reserve
from modelmark.web.bundle import vega_bundle
from modelmark.web.transport import server as server_of

SCRIPT = "<script>window.pwned = 1</script>"
NAUGHTY = (
    SCRIPT,
    "\"'><img src=x onerror=window.pwned=1>",
    "</script><svg onload=window.pwned=1>",
    "{{ 7 * 7 }}",
    "javascript:window.pwned=1",
    "Ω≈ç√∫ 表ポ ‮evil",
)


@contextmanager
def dashboard_of(app: ControlPlane) -> Iterator[str]:
    """The address of a running dashboard, as `modelmark dashboard` serves it."""
    listener = reserve("127.0.0.1", 0)
    listener.listen(64)
    server = server_of(app.dashboard(), grace=1)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def build(root: Path) -> Lived:
    """Three models: `tumours` with planted drift and labels, `churn` quiet and without labels, `hostile` with naughty
    words. Of `tumours`, v1 is retired, v2 serves, v3 failed its holdout."""
    lived = Lived.at(root)
    now, hours = lived.now, lambda n: lived.now - timedelta(hours=n)
    tumours, churn, hostile = made.tumours(), made.quiet(), made.hostile(NAUGHTY)
    for number, at in ((1, hours(30)), (2, hours(3.2))):
        version = lived.register(tumours, number, at)
        lived.check(tumours, version, at + timedelta(minutes=5))
        lived.release(tumours, version, at + timedelta(minutes=30), comment="Read the report; agreed.")
    for case, at, comment in ((churn, hours(8), ""), (hostile, hours(3), SCRIPT)):
        version = lived.register(case, 1, at)
        lived.check(case, version, at + timedelta(minutes=5))
        lived.release(case, version, at + timedelta(minutes=10), comment=comment)
    failed = lived.register(tumours, 3, hours(1))
    lived.check(tumours, failed, now - timedelta(minutes=50), holdout=0.84)
    lived.predict(
        "tumours",
        made.spread(hours(2.6), now - timedelta(seconds=20), 2000),
        shifted={"worst area": 900.0, "mean texture": 7.0},
        since=hours(1.2),
        label_after=timedelta(minutes=40),
        refused=17,
    )
    lived.predict("churn", made.spread(hours(2.5), now - timedelta(seconds=5), 1000), seed=1)
    lived.predict("hostile", made.spread(hours(2), now - timedelta(seconds=40), 400), seed=2)
    lived.watch(hours(2))
    return lived


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    return build(tmp_path_factory.mktemp("lived"))


@pytest.fixture(scope="session")
def address(lived: Lived) -> Iterator[str]:
    with dashboard_of(lived.app) as found:
        yield found


@pytest.fixture(scope="session")
def driven(chromium: str) -> Iterator[Browser]:
    os.environ.setdefault("DEBUG", "")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """One page in one browser context, and everything it complained about or asked for."""

    page: Page
    home: str
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, path: str, *, drawn: bool = True) -> Page:
        response = self.page.goto(self.home + path)
        assert response is not None
        if drawn:
            self.page.wait_for_selector("html[data-drawn]")
        return self.page

    @property
    def foreign(self) -> list[str]:
        return [url for url in self.asked if not url.startswith((self.home, "data:", "about:"))]


def visit(context: BrowserContext, home: str) -> Visit:
    found = Visit(context.new_page(), home)
    page = found.page
    page.on("console", lambda message: found.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.said.append(f"page error: {error}"))
    page.on("requestfailed", lambda request: _failed(found, request))
    page.on("request", lambda request: found.asked.append(request.url))
    page.on("response", lambda answer: answer.status >= 400 and found.said.append(f"{answer.status}: {answer.url}"))
    return found


def _failed(found: Visit, request: Any) -> None:
    if request.failure != "net::ERR_ABORTED":  # ended by leaving the page, as `/live` always is
        found.said.append(f"failed: {request.url} {request.failure}")


@pytest.fixture
def open_at(driven: Browser, address: str) -> Iterator[Any]:
    """open_at(width, height, scheme) -> Visit."""
    contexts: list[BrowserContext] = []

    def opened(width: int = 1280, height: int = 800, scheme: str = "light", home: str = address) -> Visit:
        context = driven.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        context.set_default_timeout(10_000)
        contexts.append(context)
        return visit(context, home)

    yield opened
    for context in contexts:
        context.close()


def build_nothing(root: Path, lived: Lived) -> ControlPlane:
    """An application over an empty workspace, with the chart code built once for all."""
    vega_bundle(lived.app.workspace.cache)
    shutil.copytree(lived.app.workspace.cache, root / "cache", dirs_exist_ok=True)
    return ControlPlane.open({}, workspace=root)
