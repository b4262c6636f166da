"""Files under /static: kept for good under the address that their bytes decide, and packed for whoever unpacks."""

from __future__ import annotations

import gzip

import pytest
from starlette.testclient import TestClient

from modelmark.app.control_plane import ControlPlane

HOME = "http://127.0.0.1:8081"
KEPT = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    app = ControlPlane.open({"MODELMARK_ACTOR": "ci"}, workspace=tmp_path_factory.mktemp("assets"))
    yield TestClient(app.dashboard(), base_url=HOME)
    app.database.close()


def addresses(web):
    page = web.get("/").text
    return [part.partition('"')[0] for part in page.split('="')[1:] if part.startswith("/static/")]


def test_every_file_of_a_page_is_kept_for_good_and_packed(web):
    known = addresses(web)
    assert {address.partition("?")[0] for address in known} >= {"/static/app.css", "/static/app.js", "/static/vega.js"}
    for address in known:
        answer = web.get(address, headers={"accept-encoding": "gzip"})
        assert answer.headers["cache-control"] == KEPT, address
        assert answer.headers["content-encoding"] == "gzip"
    plain = web.get("/static/app.css", headers={"accept-encoding": "identity"})
    assert plain.headers["cache-control"] == "no-cache", "who does not say which bytes keeps none"
    assert "content-encoding" not in plain.headers
    (packed,) = [a for a in known if a.startswith("/static/app.css")][:1]
    with web.stream("GET", packed, headers={"accept-encoding": "gzip"}) as raw:
        assert gzip.decompress(b"".join(raw.iter_raw())) == plain.content


def test_an_earlier_address_gives_todays_bytes_and_is_kept_by_nobody(web):
    assert web.get("/static/app.js?v=000000000000").headers["cache-control"] == "no-cache"
    assert web.get("/static/none").status_code == 404
