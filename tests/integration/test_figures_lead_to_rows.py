"""A figure of one version, one source or one window leads to what it counts, and to nothing else."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from builders import workspace as made
from builders.domain import finding
from builders.workspace import Lived
from modelmark.domain.finding import Window
from modelmark.journal.tables.compact import compact
from modelmark.journal.wal.records import Refused
from modelmark.journal.wal.writer import Writer


class Place:
    """churn: v1 is champion, v2 its canary; both would have answered requests that were refused."""

    def __init__(self, root: Path) -> None:
        self.lived, case = Lived.at(root), made.quiet()
        now = self.lived.now
        self.one, self.two = (self.lived.register(case, number, now - timedelta(hours=4 - number)) for number in (1, 2))
        for version, share in ((self.one, 1.0), (self.two, 0.2)):
            self.lived.check(case, version, now - timedelta(hours=2))
            self.lived.release(case, version, now - timedelta(hours=2), share=share)
        self.lived._clock = None
        at = int((now - timedelta(minutes=20)).timestamp() * 1e9)
        with Writer(self.lived.app.workspace.wal) as writer:
            for count, version, arm in ((3, self.one, "champion"), (4, self.two, "canary")):
                writer.append(Refused(at, "churn", "OUT_OF_RANGE", "age", count, version.id.hex, arm))
                writer.append(Refused(at - 3_600 * 10**9, "churn", "OUT_OF_RANGE", "age", 50, version.id.hex, arm))
        compact(self.lived.app.workspace, self.lived.app.witness)
        self.pages = TestClient(self.lived.app.dashboard(), base_url="http://127.0.0.1:8081", follow_redirects=True)

    def refused(self, address: str) -> int:
        answer = self.pages.get(address.replace("/models/", "/api/models/", 1))
        assert answer.status_code == 200, answer.text
        return sum(one["count"] for one in answer.json()["refusals"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("figures"))


def test_what_one_version_refused_leads_to_its_counts_alone(place: Place):
    arms = place.pages.get("/api/models/churn?span=6h").json()["arms"]
    assert [(arm["label"], arm["refused"], place.refused(arm["refusals"])) for arm in arms] == [
        ("v1", "53", 53), ("v2", "54", 54),
    ]  # fmt: skip
    page = place.pages.get("/models/churn/refusals?span=6h&version=v2").text
    assert "of v2:" in page
    assert "54 requests" in page
    assert "version=v2" in re.findall(r'href="\?span=6h&amp;code=[^"]+"', page)[0], (
        "a code goes on about the same version"
    )


def test_a_version_that_is_none_is_refused(place: Place):
    answer = place.pages.get("/api/models/churn/refusals?version=v9")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BAD_FILTER")


def test_a_code_that_an_alert_names_leads_to_the_window_and_the_version_it_is_about(place: Place):
    end = place.lived.now
    window = Window(start=end - timedelta(minutes=60), end=end)
    about = finding(model="churn", version=place.two.id, monitor="quality", subject="requests", window=window)
    alert, _ = place.lived.app.monitoring_store.open_alert(about, end)
    page = place.pages.get(f"/alerts/{alert.id}").text
    (link,) = re.findall(r'href="(/models/churn/refusals[^"]+)"', page)
    assert place.refused(unescape(link)) == 4


def test_an_input_of_a_prediction_leads_to_the_rows_that_have_it(place: Place):
    (id,) = place.lived.predict("churn", [place.lived.now - timedelta(minutes=5)])
    page = place.pages.get(f"/models/churn/predictions/{id}").text
    links = [unescape(link) for link in re.findall(r'href="(/models/churn/rows\?input=[^"]+)"', page)]
    assert [re.findall(r"input=(\w+)", link)[0] for link in links] == ["tenure", "calls", "spend", "age"]
    for link in links:
        found = place.pages.get(link.replace("/models/", "/api/models/", 1)).json()["rows"]
        assert [row["id"] for row in found] == [id], link
