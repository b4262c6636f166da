"""What every answer of the dashboard carries, whoever asks."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from builders.workspace import Lived

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def ask(home: str, path: str, host: str | None = None) -> tuple[int, dict[str, str]]:
    """Status and headers; of `/live` only the head is read."""
    connection = http.client.HTTPConnection(urlsplit(home).netloc, timeout=10)
    connection.putrequest("GET", path, skip_host=host is not None)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    connection.close()
    return answer.status, headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/models/churn", 200),
        ("/models/churn?span=never", 400),
        ("/models/none", 404),
        ("/releases", 200),
        ("/audit", 200),
        ("/api/overview", 200),
        ("/api/models/churn", 200),
        ("/api/models/none", 404),
        ("/api/charts", 200),
        ("/live", 200),
        ("/health", 200),
        ("/static/app.css", 200),
        ("/static/vega.js", 200),
        ("/static/none", 404),
        ("/static/../server.py", 404),
        ("/nowhere", 404),
    ],
)
def test_every_answer_carries_security_headers_without_unsafe_rules(address: str, path: str, status: int):
    found, headers = ask(address, path)
    assert found == status
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_a_report_may_style_itself_but_runs_nothing(address: str, lived: Lived):
    version = lived.released["tumours"][1].id.hex
    status, headers = ask(address, f"/versions/{version}/report")
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "script-src" not in headers["content-security-policy"]
    assert "default-src 'self'" not in headers["content-security-policy"]


@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1:1234", ""])
def test_another_name_or_port_for_this_address_gets_421(address: str, host: str):
    status, headers = ask(address, "/", host)
    assert status == 421
    assert "content-security-policy" in headers


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_this_machine_s_own_names_are_answered(address: str, name: str):
    assert ask(address, "/health", f"{name}:{urlsplit(address).port}")[0] == 200
