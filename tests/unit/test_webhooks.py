"""Webhooks: signed so that others can tell, and no way into the house."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook as TheirWebhook
from standardwebhooks import WebhookVerificationError

from builders.domain import NOON
from modelmark.domain.alerts.webhooks import Webhook, new_secret, read_networks, read_webhooks
from modelmark.domain.errors import ModelmarkError, NotPermitted, NotYet, Rejected
from modelmark.notify.webhooks import WebhookSender
from webhook_receiver import Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
BODY = json.dumps({"type": "trial", "data": {"name": "ä"}}).encode()
HOUSE = read_networks(["127.0.0.1"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


def hook(address: str) -> Webhook:
    (found,) = read_webhooks([address])
    return found


def refusal(sender: WebhookSender, target: Webhook) -> ModelmarkError:
    with pytest.raises(ModelmarkError) as caught:
        sender.send(target, "msg_1", NOON, BODY)
    return caught.value


def test_what_arrives_is_verified_by_the_libraries_of_others(receiver: Receiver) -> None:
    now = datetime.now(UTC)
    WebhookSender(HOUSE).send(hook(receiver.url(SECRET)), "msg_1", now, BODY)
    ((headers, body),) = receiver.got
    assert body == BODY
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert TheirWebhook(SECRET).verify(body.decode(), headers) == json.loads(BODY)
    for changed, secret in ((body + b" ", SECRET), (body, new_secret())):
        with pytest.raises(WebhookVerificationError):
            TheirWebhook(secret).verify(changed.decode(), headers)


#: Ways to say loopback, a network of one's own, a cloud's metadata, or an address inside another.
INWARD = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.2", "0.0.0.0", "0", "localhost",
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.254", "169.254.169.254",
    "192.0.0.192", "192.0.2.1", "198.18.0.1", "224.0.0.1", "224.0.1.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "100.100.100.200",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]", "[::127.0.0.1]", "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2001:0:1::]", "[fc00::1]",
    "[fd00:ec2::254]", "[fe80::1]", "[ff02::1]", "[2001:db8::1]",
]  # fmt: skip


@pytest.mark.parametrize("host", INWARD)
def test_no_way_of_writing_an_address_inside_is_called(receiver: Receiver, host: str) -> None:
    for scheme in ("https", "http"):
        error = refusal(WebhookSender(seconds=2), hook(receiver.url(SECRET, host, scheme)))
        assert (type(error), error.code) == (NotPermitted, "ADDRESS_REFUSED"), error
    assert receiver.got == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "fe80::1%eth0"])
def test_a_name_is_judged_by_what_it_resolves_to(receiver: Receiver, address: str) -> None:
    sender = WebhookSender(resolver=lambda host, port: ["93.184.215.14", address], seconds=2)
    assert refusal(sender, hook(receiver.url(SECRET, "hooks.example.com", "https"))).code == "ADDRESS_REFUSED"
    assert receiver.got == []


def test_a_name_that_answers_otherwise_a_moment_later_gains_nothing(receiver: Receiver) -> None:
    """The host is asked for once; what was judged is what is called."""
    said: list[list[str]] = [["127.0.0.1"], ["127.0.0.2"]]
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return said.pop(0)

    target = hook(receiver.url(SECRET, "rebinding.invalid"))
    WebhookSender(HOUSE, resolver=resolve).send(target, "msg_1", NOON, BODY)
    assert asked == ["rebinding.invalid"]
    assert len(receiver.got) == 1  # .invalid resolves nowhere, so the connection went to the judged address


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(receiver: Receiver, status: int) -> None:
    trap = Receiver()
    receiver.status, receiver.location = status, trap.url("x").partition("#")[0]
    error = refusal(WebhookSender(HOUSE), hook(receiver.url(SECRET)))
    assert (error.code, len(receiver.got), trap.got) == ("NOT_TAKEN", 1, [])
    trap.close()


def test_no_proxy_of_the_environment_is_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = Receiver()
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{trap.port}")
    WebhookSender(HOUSE).send(hook(receiver.url(SECRET)), "msg_1", NOON, BODY)
    assert (len(receiver.got), trap.got) == (1, [])
    trap.close()


def test_what_is_allowed_is_never_a_clouds_metadata() -> None:
    sender = WebhookSender(read_networks(["0.0.0.0/0", "::/0"]), seconds=2)
    for host in ("169.254.169.254", "[fd00:ec2::254]", "[fe80::1]", "100.100.100.200", "[::ffff:169.254.169.254]"):
        assert refusal(sender, hook(f"http://{host}/#{SECRET}")).code == "ADDRESS_REFUSED", host


def test_a_public_address_is_called_by_https_alone() -> None:
    sender = WebhookSender(resolver=lambda host, port: ["93.184.215.14"], seconds=2)
    assert "not https" in refusal(sender, hook(f"http://hooks.example.com/#{SECRET}")).message


def test_a_receiver_that_drips_is_left_in_time(receiver: Receiver) -> None:
    receiver.drip = 0.05
    began = time.monotonic()
    error = refusal(WebhookSender(HOUSE, seconds=0.4), hook(receiver.url(SECRET)))
    assert (error.code, time.monotonic() - began < 2) == ("NOT_DELIVERED", True)


@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "NOT_DELIVERED"), (503, "NOT_DELIVERED"), (429, "NOT_DELIVERED"), (400, "NOT_TAKEN"), (410, "NOT_TAKEN")],
)  # fmt: skip
def test_what_is_not_taken_is_told_from_a_receiver_that_is_unwell(receiver: Receiver, status: int, code: str) -> None:
    receiver.status = status
    error = refusal(WebhookSender(HOUSE), hook(receiver.url(SECRET)))
    assert (type(error), error.code) == (NotYet, code)
    assert SECRET not in str(error)
    assert "room" not in str(error)


@pytest.mark.parametrize(
    "text",
    [
        f"ftp://host/#{SECRET}", f"file:///etc/passwd#{SECRET}", f"gopher://host/#{SECRET}", f"https:///x#{SECRET}",
        f"host#{SECRET}",
        f"https://user:pw@host/#{SECRET}", f"https://host@evil/#{SECRET}", f"https://host:99999/#{SECRET}", f"https://hö.st/#{SECRET}",
        f"https://[fe80::1%25eth0]/#{SECRET}", "https://host/", "https://host/#whsec_", "https://host/#whsec_c2hvcnQ=",
        f"https://host/#{SECRET[6:]}", "https://host/#whsec_!!!", f"https://ho\\st/#{SECRET}",
    ],
)  # fmt: skip
def test_what_is_no_webhook_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_webhooks([text])
    assert caught.value.code == "BAD_WEBHOOK"
    said = f"{caught.value} {caught.value.limit} {caught.value.hint} {caught.value.field}"
    assert SECRET[6:] not in said
    assert "passwd" not in said


def test_a_webhook_keeps_its_name_when_its_secret_is_changed_and_shows_neither_secret_nor_path() -> None:
    one, other = (
        hook(f"https://h.example/path-is-a-secret#{SECRET}"),
        hook(f"https://h.example/path-is-a-secret#{new_secret()}"),
    )
    assert one.id == other.id
    assert one.place == "1 (https://h.example)"
    assert "path-is" not in repr(one)
    assert "secret=" not in repr(one)
