"""The audit page's rows: a sentence for every act, the account or key it is about, and nothing that looks like a secret."""

from __future__ import annotations

from typing import Any

import pytest

from builders.domain import NOON, version
from modelmark.domain.audit import Act, Event
from modelmark.web.events import _SENTENCES, event_rows

ONE = version()
ACCOUNT = {"name": "Bob Ray", "roles": ["risk", "data_science"], "admin": True, "disabled": False, "password": "f" * 64}
ALERT = {"name": "Cy", "alert": "drift of age, loans v3", "model": "loans"}
DETAILS: dict[Act, tuple[str, dict[str, Any], str]] = {
    Act.REGISTERED: (ONE.id, {"model": "loans", "number": 1}, "registered as v1 of loans"),
    Act.RETRAINED: (
        ONE.id,
        {"model": "loans", "number": 2, "why": "500 rows were labelled since", "outcome": "better"},
        "trained as v2, because 500 rows were labelled since: better",
    ),
    Act.MEASURED: (
        ONE.id,
        {"gate": "supply_chain", "verdict": "pass", "model": "loans"},
        "measured by the gate supply chain: pass",
    ),
    Act.APPROVED: (
        ONE.id,
        {"role": "data_science", "name": "Ann Lee", "evidence": "sha256:0"},
        "approved by Ann Lee as data science",
    ),
    Act.WAIVED: (
        ONE.id,
        {"gate": "load", "name": "Ann", "reason": "pilot", "owner": "Ann", "expires_at": "2027-01-31T00:00:00"},
        "gate load waived by Ann until 2027-01-31: “pilot”",
    ),
    Act.RELEASED: (ONE.id, {"model": "loans", "share": 1, "snapshot": 3}, "released to 100% of the traffic"),
    Act.RELEASED_AS_CANARY: (
        ONE.id,
        {"model": "loans", "share": 0.1, "snapshot": 3},
        "released as a canary to 10% of the traffic",
    ),
    Act.ROLLED_BACK: (
        ONE.id,
        {"model": "loans", "to": ONE.id, "reason": "noise", "snapshot": 4},
        "rolled back to v1: “noise”",
    ),
    Act.STAGED: (
        ONE.id,
        {"model": "loans", "stage": -1},
        "carries its mark and waits for its turn in the rollout",
    ),
    Act.SHADOWED: (ONE.id, {"model": "loans", "stage": 0}, "asked a copy of the live traffic, as a shadow"),
    Act.WITHDRAWN: (
        ONE.id,
        {"model": "loans", "reason": "slow"},
        "withdrawn before it had any traffic: “slow”",
    ),
    Act.HELD_ROLLOUT: (ONE.id, {"model": "loans", "reason": "a holiday"}, "rollout held: “a holiday”"),
    Act.RESUMED_ROLLOUT: (ONE.id, {"model": "loans"}, "rollout goes on"),
    Act.PREREGISTERED: (
        "experiment trees",
        {"model": "loans", "digest": "ab" * 32, "plan": {"hypothesis": "More is more."}},
        "registered before it began, under abababababab: “More is more.”",
    ),
    Act.BEGAN_EXPERIMENT: (
        "experiment trees",
        {"model": "loans", "arms": {"control": {"share": 0.5}, "b": {"share": 0.25}}},
        "began with 50% of the traffic for control, 25% of the traffic for b",
    ),
    Act.ENDED_EXPERIMENT: (
        "experiment trees",
        {"model": "loans", "verdict": "better. b is.", "reason": "decided"},
        "ended: better. b is.: “decided”",
    ),
    Act.COMMENTED: (ONE.id, {"name": "Cy", "text": "why?", "about": ""}, "Cy commented: “why?”"),
    Act.REQUESTED_CHANGE: (ONE.id, {"name": "Cy", "text": "why?", "about": ""}, "Cy asked for a change: “why?”"),
    Act.SETTLED_CHANGE: (ONE.id, {"name": "Cy", "text": "done", "about": "r1"}, "Cy settled a change request: “done”"),
    Act.ADDED_ACCOUNT: ("bob", ACCOUNT, "account made: Bob Ray, risk, data science; administrator"),
    Act.CHANGED_ACCOUNT: ("bob", ACCOUNT, "account changed: Bob Ray, risk, data science; administrator"),
    Act.DISABLED_ACCOUNT: (
        "bob",
        ACCOUNT | {"disabled": True, "admin": False},
        "account ended: Bob Ray, risk, data science; it has ended",
    ),
    Act.CHANGED_PASSWORD: ("bob", ACCOUNT, "password changed; its sessions ended"),
    Act.ISSUED_LINK: ("bob", ACCOUNT, "link made, with which its person sets a new password"),
    Act.REDEEMED_LINK: (
        "bob",
        {**ACCOUNT, "issued_by": "ann"},
        "password set through the link that ann made",
    ),
    Act.CONFIRMED_ACCOUNT: (
        "bob",
        {**ACCOUNT, "confirmed_by": "cy"},
        "confirmed by cy: its person, and nobody else, holds it",
    ),
    Act.ISSUED_KEY: (
        "bob",
        {"key": "a1b2", "scopes": ["view"], "expires_at": "2027-01-31T00:00:00"},
        "key made for view, until 2027-01-31",
    ),
    Act.REVOKED_KEY: ("bob", {"key": "a1b2"}, "key revoked"),
    Act.ACKNOWLEDGED_ALERT: ("alert 7", ALERT, "acknowledged by Cy: drift of age, loans v3"),
    Act.SNOOZED_ALERT: (
        "alert 7",
        {**ALERT, "until": "2027-01-31T08:00:00+00:00"},
        "snoozed by Cy until 2027-01-31T08:00: drift of age, loans v3",
    ),
    Act.ASSIGNED_ALERT: ("alert 7", {**ALERT, "to": "Bo"}, "assigned to Bo by Cy: drift of age, loans v3"),
    Act.CLOSED_ALERT: ("alert 7", {**ALERT, "reason": "mended"}, "closed by Cy, for “mended”: drift of age, loans v3"),
    Act.CHANGED_MONITORS: (
        "monitors of loans",
        {
            "model": "loans",
            "name": "Cy",
            "changed": ["window_minutes", "drift"],
            "reason": "a quiet season",
            "settings": {},
        },
        "settings changed by Cy (window_minutes, drift): “a quiet season”",
    ),
    Act.RESET_MONITORS: (
        "monitors of loans",
        {"model": "loans", "name": "Cy", "reason": "over"},
        "settings of the contract again, by Cy: “over”",
    ),
    Act.RATED_ALERT: ("alert 7", {**ALERT, "rating": "noise"}, "called noise by Cy: drift of age, loans v3"),
    Act.SENT_AGAIN: (
        "messages",
        {"name": "Cy", "count": 3, "keys": ["hook-1-msg_2"]},
        "messages that had not arrived: 3, by Cy",
    ),
    Act.SIGNED_IN: ("bob", {"source": "127.0.0.1"}, "signed in from 127.0.0.1"),
    Act.FAILED_TO_SIGN_IN: (
        "bob",
        {"failures_in_the_last_hour": 3},
        "failed to sign in; 3 in the last hour from there",
    ),
    Act.CREATED_ENDPOINT_KEY: (
        "a1b2",
        {"name": "shop", "scopes": ["predict", "label"], "model": None, "expires_at": "2027-01-01T00:00:00Z"},
        "key of the endpoint made for predict, label of every model, until 2027-01-01",
    ),
    Act.REVOKED_ENDPOINT_KEY: ("a1b2", {"name": "shop"}, "key of the endpoint revoked"),
    Act.SIGNED_OUT: ("bob", {}, "signed out"),
    Act.TOOK_OVER: (
        "earlier records",
        {"rows": {"versions/a": "f" * 64}, "files": {}},
        "sealed as found, when the workspace was first opened by this release: 1 rows, 0 files",
    ),
}


def row(act: str, subject: str, details: dict[str, Any]):
    event = Event(sequence=1, at=NOON, actor="ann", act=act, subject=subject, details=details, previous="0", hash="1")
    (found,) = event_rows([event], [ONE])
    return found


@pytest.mark.parametrize("act", list(Act), ids=str)
def test_every_act_has_a_sentence_and_says_what_it_is_about(act: Act):
    assert act in _SENTENCES, "a new act needs a sentence"
    subject, details, sentence = DETAILS[act]
    found = row(act, subject, details)
    assert found.sentence == sentence
    assert (found.about, found.address) in (
        ("loans v1", f"/versions/{ONE.id.hex}"), ("the account bob", "/people"), ("key a1b2 of bob", "/people"),
        ("earlier records", ""), ("the endpoint's key shop (a1b2)", "/endpoint"), ("alert 7", "/alerts/7"),
        ("messages", "/deliveries"), ("monitors of loans", "/models/loans"),
        ("the experiment trees", "/experiments/trees"),
    )  # fmt: skip
    assert "f" * 20 not in found.sentence + found.about, "no digest that looks like a password"


def test_a_version_that_is_not_here_is_named_by_the_beginning_of_its_digest():
    found = row(Act.REGISTERED, "sha256:" + "0123456789abcdef" * 4, {"model": "loans", "number": 1})
    assert (found.about, found.address) == ("the version 0123456789ab, which is not here", "")


def test_a_key_s_row_names_the_key_and_whose_it_is():
    assert row(Act.ISSUED_KEY, *DETAILS[Act.ISSUED_KEY][:2]).about == "key a1b2 of bob"
    assert row(Act.REVOKED_KEY, *DETAILS[Act.REVOKED_KEY][:2]).about == "key a1b2 of bob"


@pytest.mark.parametrize(
    ("act", "subject", "details"),
    [
        ("an act of a later release", ONE.id, {"stage": "shadow", "password": "f" * 64}),
        (Act.RELEASED, ONE.id, {"share": "much"}),
        (Act.ROLLED_BACK, "sha256:" + "0" * 64, {}),
        (Act.ADDED_ACCOUNT, "", {}),
        (Act.FAILED_TO_SIGN_IN, "a login of nobody", {}),
    ],
)
def test_what_is_not_known_is_still_told_without_an_empty_link(act: str, subject: str, details: dict[str, Any]):
    found = row(act, subject, details)
    assert found.sentence.startswith(act)
    assert found.about.strip() not in ("", "the account")
    assert "f" * 20 not in found.sentence


def test_a_long_text_is_cut():
    assert len(row(Act.COMMENTED, ONE.id, {"name": "Cy", "text": "x" * 5000}).sentence) == 201
