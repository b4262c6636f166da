"""Every bar, point and figure leads to what it counts, and what is there is as many."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from builders.workspace import Lived

HOME = "http://127.0.0.1:8081"
#: Documents of versions have tests of their own, and cost more than all pages.
DOCUMENTS = ("/card", "/report", "/notes")


@pytest.fixture(scope="module")
def asked(lived: Lived) -> TestClient:
    return TestClient(lived.app.dashboard(), base_url=HOME, follow_redirects=True, raise_server_exceptions=False)


def addresses(value: Any) -> Iterator[str]:
    """Everything called `href` or `rows` in a page's data that is an address."""
    if isinstance(value, dict):
        yield from (v for k, v in value.items() if k in ("href", "rows", "others") and isinstance(v, str))
        for inner in value.values():
            yield from addresses(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from addresses(inner)


def kind(address: str) -> str:
    """The page's kind, of which one is opened: models, ids and values left out."""
    parts = urlsplit(address)
    fields = ",".join(sorted(part.partition("=")[0] for part in parts.query.split("&") if not part.startswith("span=")))
    return re.sub(r"[0-9a-f]{32,}|\d+|(?<=/models/)[^/]+", "#", parts.path) + "?" + fields


def test_every_link_of_every_page_leads_somewhere(asked: TestClient) -> None:
    waiting, opened = ["/models/tumours?span=6h", "/"], set[str]()
    while waiting:
        address = waiting.pop(0)
        answer = asked.get(address)
        assert answer.status_code == 200, (address, answer.text[:300])
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        data = re.search(r'<script type="application/json" id="data"[^>]*>(.*?)</script>', answer.text, re.DOTALL)
        found = [html.unescape(link) for link in re.findall(r'<a\b[^>]*\bhref="([^"]*)"', answer.text)]
        found += addresses(json.loads(data[1])) if data else ()
        for link in found:
            link = address.partition("?")[0] + link if link.startswith("?") else link.partition("#")[0]
            if link.startswith("/") and kind(link) not in opened and not urlsplit(link).path.endswith(DOCUMENTS):
                opened.add(kind(link))
                waiting.append(link)
    reached = {address.partition("?")[0].split("/")[-1] for address in opened}
    assert {"rows", "refusals", "input", "alerts", "audit", "releases"} <= reached
    assert {"/models/#/rows?from,to", "/models/#/rows?from,score_below,to", "/models/#/rows?label,to,version"} <= opened


def counted(asked: TestClient, address: str) -> list[dict[str, Any]]:
    answer = asked.get(address.replace("/rows?", "/rows.json?"))
    assert answer.status_code == 200, (address, answer.text[:300])
    return answer.json()


def test_what_a_bar_counts_is_what_its_rows_are(asked: TestClient) -> None:
    data = asked.get("/api/models/tumours?span=6h").json()
    for slot in data["traffic"][:: max(1, len(data["traffic"]) // 5)]:
        requests = round(slot["per_second"] * (slot["end"] - slot["at"]) / 1000)
        assert len({row["id"] for row in counted(asked, slot["href"])}) == requests > 0
    total = sum(len(counted(asked, each["href"])) for each in data["scores"] if each["share"])
    for each in data["scores"]:
        if each["share"]:
            assert len(counted(asked, each["href"])) == round(each["share"] * total), each
    (arm,) = data["arms"]
    assert f"{len(counted(asked, arm['rows'])):,}" == arm["requests"]
    assert f"{len(counted(asked, arm['others'])):,}" == arm["fallbacks"]


@pytest.mark.parametrize("model", ["tumours", "hostile"])
def test_what_lies_in_a_bar_of_an_input_is_what_its_rows_are(asked: TestClient, model: str) -> None:
    names = asked.get(f"/api/models/{model}?span=7d").json()["inputs"]
    for name in names[:2]:
        data = asked.get(f"/api/models/{model}/input", params={"name": name, "span": "7d"}).json()
        rows = int(re.match(r"[\d,]+", data["sentences"]["values"])[0].replace(",", ""))  # type: ignore[index]
        bars = [bar for bar in data["values"] if bar["share"] and "href" in bar]
        assert bars
        for bar in bars[:6]:
            assert len(counted(asked, bar["href"])) == round(bar["share"] * rows), (name, bar)


def test_a_bar_that_is_clicked_opens_its_rows(open_at: Any) -> None:
    page = open_at().open("/models/tumours?span=6h")
    bars = page.locator("section[aria-labelledby=scores] svg .mark-rect path")
    bars.first.click()
    page.wait_for_url("**/models/tumours/rows?**score_below=0.05**")
    assert page.locator("h1").inner_text() == "Predictions of tumours"


def test_an_alert_about_columns_leads_to_each_of_them(asked: TestClient) -> None:
    page = asked.get("/alerts/1").text
    assert "2 columns together" in page
    for name in ("worst+area", "mean+texture"):
        assert page.count(f'href="/models/tumours/input?name={name.replace("+", "%20")}"') == 1, name
