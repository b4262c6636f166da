"""Messages arrive over real HTTP, once each, and no error repeats an address."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from inbox import Inbox
from modelmark.domain.errors import NotYet, Rejected
from modelmark.notify.apprise import AppriseNotifier


@pytest.fixture
def inboxes() -> Iterator[tuple[Inbox, Inbox]]:
    both = (Inbox(), Inbox())
    yield both
    for inbox in both:
        inbox.server.shutdown()
        inbox.server.server_close()


def test_a_message_reaches_everybody_once_even_when_one_was_down(inboxes: tuple[Inbox, Inbox]) -> None:
    one, two = inboxes
    two.up = False
    notifier = AppriseNotifier([one.url, two.url])
    with pytest.raises(NotYet) as caught:
        notifier.send("drift of age", "It moved.")
    assert str(caught.value) == "not delivered to 2 (json)"
    two.up = True
    notifier.send("drift of age", "It moved.")
    assert [len(inbox.got) for inbox in inboxes] == [1, 1]
    assert (two.got[0]["title"], two.got[0]["message"]) == ("drift of age", "It moved.")


def test_a_role_hears_what_is_for_it_and_others_hear_the_rest(inboxes: tuple[Inbox, Inbox]) -> None:
    risk, all_else = inboxes
    notifier = AppriseNotifier([f"risk={risk.url}", all_else.url])
    notifier.send("sign v3", "Please.", audience="risk")
    notifier.send("sign v3", "Please, too.", audience="product")
    notifier.send("drift of age", "It moved.")
    assert [item["message"] for item in risk.got] == ["Please."]
    assert [item["message"] for item in all_else.got] == ["Please, too.", "It moved."]


@pytest.mark.parametrize("url", ["nosuch://s3cret@host", "s3cret", "https//s3cret"])
def test_an_address_of_no_known_kind_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(Rejected) as caught:
        AppriseNotifier([url]).check()
    assert "s3cret" not in json.dumps(caught.value.facts())


def test_what_strangers_wrote_begins_no_line_of_a_title_and_steers_no_reader(inboxes: tuple[Inbox, Inbox]) -> None:
    one, _ = inboxes
    AppriseNotifier([one.url]).send("Eve\r\nBcc: all asks", "first\nsecond \x1b[2J\u202e")
    assert (one.got[0]["title"], one.got[0]["message"]) == ("Eve\\r\\nBcc: all asks", "first\nsecond \\x1b[2J\\u202e")
