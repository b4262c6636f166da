"""Settings: environment, then command line; whatever is not understood is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelmark.domain.endpoint.worker_bounds import WorkerBounds
from modelmark.domain.errors import Rejected
from modelmark.domain.settings import Settings

READABLE = "printable text, at most 4096 characters"


def test_the_command_line_wins_over_the_environment():
    found = Settings.read({"MODELMARK_PORT": "9000", "MODELMARK_WORKERS": "3"}, port=9001, workers=None)
    assert (found.port, found.workers) == (9001, WorkerBounds(3, 3))


def test_what_is_not_said_has_its_default():
    assert Settings.read({"PATH": "/bin", "MODELMARK_PORT": ""}) == Settings()


def test_every_setting_can_be_said_in_the_environment():
    found = Settings.read(
        {
            "MODELMARK_WORKSPACE": "w",
            "MODELMARK_DATABASE": "postgresql://u@h/d",
            "MODELMARK_HOST": "::1",
            "MODELMARK_PORT": "0",
            "MODELMARK_GRPC_PORT": "0",
            "MODELMARK_DASHBOARD_PORT": "1",
            "MODELMARK_WORKERS": "2",
            "MODELMARK_NOTIFY": "json://a  json://b",
            "MODELMARK_ACTOR": "ann",
            "MODELMARK_JOURNAL_SYNC_MS": "0",
        }
    )
    assert found == Settings(
        workspace=Path("w"), database="postgresql://u@h/d", host="::1", port=0, grpc_port=0, dashboard_port=1,
        workers=WorkerBounds(2, 2),
        notify=("json://a", "json://b"), actor="ann", journal_sync_ms=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "text", "limit"),
    [
        pytest.param("MODELMARK_PORT", "65536", "0 to 65535", id="a port above the last"),
        pytest.param("MODELMARK_PORT", "-1", "0 to 65535", id="a negative port"),
        pytest.param("MODELMARK_PORT", "http", "0 to 65535", id="a port by name"),
        pytest.param("MODELMARK_PORT", "٨٠", "0 to 65535", id="digits of another script"),
        pytest.param("MODELMARK_WORKERS", "0", "1 to 256, bounds such as 1..4, or auto", id="no workers"),
        pytest.param("MODELMARK_JOURNAL_SYNC_MS", "1.5", "0 to 10000", id="a fraction"),
        pytest.param("MODELMARK_PORT", "9" * 3000, "0 to 65535", id="a port of 3,000 digits"),
        pytest.param("MODELMARK_PORT", "9" * 5000, READABLE, id="a port of 5,000 digits"),
        pytest.param("MODELMARK_WORKSPACE", "w" * 5000, READABLE, id="a folder of 5,000 characters"),
        pytest.param("MODELMARK_ACTOR", "ann\x1b[31m", READABLE, id="an escape sequence"),
        pytest.param("MODELMARK_ACTOR", "ann\nbob", READABLE, id="two lines"),
        pytest.param("MODELMARK_ENVIRONMENT", "\u202eprod", READABLE, id="text turned around"),
        pytest.param("MODELMARK_HOST", "\udc80", READABLE, id="bytes of no text"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(variable, text, limit):
    with pytest.raises(Rejected) as caught:
        Settings.read({variable: text})
    assert (caught.value.field, caught.value.limit) == (variable, limit)


def test_an_unknown_setting_is_refused_and_its_secret_is_not_repeated():
    with pytest.raises(Rejected, match="MODELMARK_NOTIFI") as caught:
        Settings.read({"MODELMARK_NOTIFI": "mailto://user:secret@host"})
    assert caught.value.hint == "did you mean MODELMARK_NOTIFY?"
    assert "secret" not in str(caught.value.facts())
