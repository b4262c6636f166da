"""The mark holds: who may read the key, what a signature covers, and what happens to one changed byte."""

from __future__ import annotations

import argparse
import base64
import dataclasses
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from builders.domain import NOON, approval, contract, digest, evidence, version
from modelmark.domain import version as names
from modelmark.domain.contract import Contract
from modelmark.domain.errors import Missing, NoMark, NotPermitted, Tampered
from modelmark.domain.version import Components, Feed, Signature, Version
from modelmark.seal.digests import canonical, digest_bytes, digest_value
from modelmark.seal.envelope import unwrap, wrap
from modelmark.seal.keys import PRIVATE, PUBLIC, Signer, Verifier, require_pair, signer, verifier
from modelmark.seal.mark import PAYLOAD_TYPE, issue, open_marked
from modelmark.seal.public import packed, unpacked
from modelmark.seal.values import decode


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signer(tmp_path_factory.mktemp("keys"))


def marked(folder: Path, key: Signer) -> Version:
    """A version folder with every signed file and its mark."""
    files = {
        names.ARTIFACT: b"not really onnx: nothing here parses it",
        names.CONTRACT: canonical(contract()),
        names.SIGNATURE: canonical(
            Signature(feeds=(Feed(graph_input="X", columns=("age",), dtype="float32"),), score_output="p")
        ),
        names.LOCK: b"numpy==2\n",
        names.REFERENCE: b"{}",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    parts = Components(
        artifact=digest_bytes(files[names.ARTIFACT]),
        contract=digest_bytes(files[names.CONTRACT]),
        preprocessing=digest_bytes(files[names.SIGNATURE]),
        lock=digest_bytes(files[names.LOCK]),
    )
    one = version(components=parts, id=digest_value(parts), reference=digest_bytes(b"{}"))
    seen = [evidence(one.id)]
    envelope = issue(one, seen, [approval(one, digest("e"))], [], at=NOON, folder=folder, signer=key)
    (folder / names.MARK).write_bytes(envelope)
    return one


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first, again = signer(tmp_path / "keys"), signer(tmp_path / "keys")
    assert first.verifier().key_id == again.verifier().key_id == verifier(tmp_path / "keys").key_id
    assert (tmp_path / "keys" / PRIVATE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_many_first_uses_at_once_agree_on_one_key(tmp_path: Path) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(signer(tmp_path).verifier().key_id)) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(made) == {verifier(tmp_path).key_id}
    assert len(made) == 24


def test_a_public_half_that_a_crash_left_out_comes_back(tmp_path: Path) -> None:
    made = signer(tmp_path).verifier().key_id
    (tmp_path / "mark.pub").unlink()
    assert signer(tmp_path).verifier().key_id == verifier(tmp_path).key_id == made


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    signer(tmp_path)
    (tmp_path / PRIVATE).chmod(0o640)
    with pytest.raises(NotPermitted, match="may be read by others") as caught:
        signer(tmp_path)
    assert caught.value.code == "KEY_EXPOSED"
    assert "chmod 600" in str(caught.value.hint)


def test_two_halves_that_do_not_belong_together_sign_nothing(tmp_path: Path) -> None:
    signer(tmp_path / "one")
    signer(tmp_path / "two")
    (tmp_path / "one" / PRIVATE).write_bytes((tmp_path / "two" / PRIVATE).read_bytes())
    for use in (signer, require_pair):
        with pytest.raises(NotPermitted) as caught:
            use(tmp_path / "one")
        assert caught.value.code == "KEYS_DIFFER"


def test_a_lost_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    signer(tmp_path)
    (tmp_path / PRIVATE).unlink()
    with pytest.raises(NotPermitted) as caught:
        signer(tmp_path)
    assert caught.value.code == "KEY_GONE"
    assert not (tmp_path / PRIVATE).exists()


@pytest.mark.parametrize(
    "garbage", [b"", b"\0" * 200, b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", b"\xff\xfe"]
)
def test_garbage_in_a_key_file_is_named(tmp_path: Path, garbage: bytes) -> None:
    signer(tmp_path)
    (tmp_path / PUBLIC).write_bytes(garbage)
    for use in (verifier, signer, require_pair):
        with pytest.raises(NotPermitted) as caught:
            use(tmp_path)
        assert caught.value.code == "BAD_KEY"
        assert "mark.pub" in caught.value.message
    (tmp_path / PUBLIC).unlink()
    (tmp_path / PRIVATE).write_bytes(garbage)
    with pytest.raises(NotPermitted) as caught:
        signer(tmp_path)
    assert (caught.value.code, "mark.key" in caught.value.message) == ("BAD_KEY", True)


@pytest.mark.parametrize("name", [PRIVATE, PUBLIC])
def test_a_key_file_in_another_form_is_noticed(tmp_path: Path, name: str) -> None:
    signer(tmp_path)
    require_pair(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"\n")
    with pytest.raises(NotPermitted) as caught:
        require_pair(tmp_path)
    assert caught.value.code == "BAD_KEY"


@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_a_folder_into_which_others_may_put_keys_is_noticed(tmp_path: Path, mode: int) -> None:
    signer(tmp_path)
    tmp_path.chmod(mode)
    with pytest.raises(NotPermitted) as caught:
        require_pair(tmp_path)
    assert caught.value.code == "KEY_EXPOSED"


def test_without_a_public_key_nothing_verifies(tmp_path: Path) -> None:
    with pytest.raises(Missing):
        verifier(tmp_path)


def test_an_envelope_gives_back_what_was_put_in(key: Signer) -> None:
    value = {"a": [1, 0.5, None, "é"], "b": {"c": True}}
    assert unwrap(wrap(value, "text/x", key), "text/x", key.verifier(), what="the letter") == value


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(lambda e: {**e, "payloadType": "text/y"}, "BAD_ENVELOPE", id="another type"),
        pytest.param(
            lambda e: {**e, "payload": base64.b64encode(b"{}").decode()}, "BAD_SIGNATURE", id="another payload"
        ),
        pytest.param(lambda e: {**e, "signatures": []}, "WRONG_KEY", id="no signature"),
        pytest.param(
            lambda e: {**e, "signatures": [{**e["signatures"][0], "keyid": "sha256:0"}]}, "WRONG_KEY", id="another key"
        ),
        pytest.param(lambda e: {"payload": "%%%"}, "BAD_ENVELOPE", id="not an envelope"),
        pytest.param(lambda e: {**e, "payload": e["payload"].rstrip("=")}, "BAD_ENVELOPE", id="another base64 text"),
    ],
)
def test_an_envelope_is_refused_with(spoil: Callable[[dict], dict], code: str, key: Signer) -> None:
    envelope = json.loads(wrap({"a": 1}, "text/x", key))
    with pytest.raises(Tampered) as caught:
        unwrap(canonical(spoil(envelope)), "text/x", key.verifier(), what="the letter")
    assert caught.value.code == code


def test_the_signature_covers_the_type(key: Signer) -> None:
    envelope = json.loads(wrap({"a": 1}, "text/x", key))
    with pytest.raises(Tampered) as caught:
        unwrap(canonical({**envelope, "payloadType": "text/y"}), "text/y", key.verifier(), what="the letter")
    assert caught.value.code == "BAD_SIGNATURE"


def test_a_marked_version_opens(tmp_path: Path, key: Signer) -> None:
    one = marked(tmp_path, key)
    found = open_marked(tmp_path, key.verifier(), expected=one.id)
    assert found.version == one
    assert found.contract == contract()
    assert found.statement["_type"] == "https://in-toto.io/Statement/v1"
    assert [item["name"] for item in found.statement["subject"]] == list(names.SIGNED_FILES)


@pytest.mark.parametrize("name", [*names.SIGNED_FILES, names.MARK])
def test_one_changed_bit_anywhere_is_told_with_the_file_s_name(name: str, tmp_path: Path, key: Signer) -> None:
    one = marked(tmp_path, key)
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(Tampered) as caught:
        open_marked(tmp_path, key.verifier(), expected=one.id)
    assert name == names.MARK or name in caught.value.message


def test_a_file_that_is_gone_is_told(tmp_path: Path, key: Signer) -> None:
    one = marked(tmp_path, key)
    (tmp_path / names.LOCK).unlink()
    with pytest.raises(Tampered, match=r"lock\.txt .* is gone"):
        open_marked(tmp_path, key.verifier(), expected=one.id)


def test_no_mark_no_opening(tmp_path: Path, key: Signer) -> None:
    one = marked(tmp_path, key)
    (tmp_path / names.MARK).unlink()
    with pytest.raises(NoMark):
        open_marked(tmp_path, key.verifier(), expected=one.id)


def test_a_mark_of_another_workspace_is_refused(tmp_path: Path, key: Signer) -> None:
    one = marked(tmp_path, key)
    with pytest.raises(Tampered) as caught:
        open_marked(tmp_path, signer(tmp_path / "others").verifier(), expected=one.id)
    assert caught.value.code == "WRONG_KEY"


def test_a_whole_folder_in_another_version_s_place_is_refused(tmp_path: Path, key: Signer) -> None:
    marked(tmp_path, key)
    with pytest.raises(Tampered) as caught:
        open_marked(tmp_path, key.verifier(), expected=digest("another"))
    assert caught.value.code == "WRONG_MARK"


@pytest.mark.parametrize("what", ["its name", "what it is named after"])
def test_a_mark_names_a_version_after_its_bytes_and_both_halves_are_held(
    tmp_path: Path, key: Signer, what: str
) -> None:
    """Signed with our own key all the same."""
    one = marked(tmp_path, key)
    statement = dict(unwrap((tmp_path / names.MARK).read_bytes(), PAYLOAD_TYPE, key.verifier(), what="the mark"))
    told = dict(statement["predicate"]["version"])
    if what == "its name":
        told["id"] = str(digest("another"))
        expected = one.id
    else:
        told["id"] = str(digest("another"))
        expected = digest("another")
    statement["predicate"] = {**statement["predicate"], "version": told}
    (tmp_path / names.MARK).write_bytes(wrap(statement, PAYLOAD_TYPE, key))
    with pytest.raises(Tampered) as caught:
        open_marked(tmp_path, key.verifier(), expected=expected)
    assert caught.value.code == "WRONG_MARK"


def test_no_mark_is_made_over_files_that_are_not_the_version_s(tmp_path: Path, key: Signer) -> None:
    one = marked(tmp_path, key)
    (tmp_path / names.ARTIFACT).write_bytes(b"swapped before signing")
    with pytest.raises(Tampered, match=r"model\.onnx"):
        issue(one, [], [], [], at=NOON, folder=tmp_path, signer=key)


Plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(Plain)
def test_canonical_text_is_one_text(value: object) -> None:
    text = canonical(value)
    assert canonical(json.loads(text)) == text


def test_a_contract_changes_its_digest_with_any_field() -> None:
    usual = contract()
    changed = dataclasses.replace(usual, purpose="another")
    assert digest_value(usual) != digest_value(changed)
    assert decode(Contract, canonical(changed)).purpose == "another"


@pytest.mark.parametrize("first", [0x00, 0x2D, 0xF8, 0xFB, 0xFF])
def test_a_key_on_a_command_line_never_looks_like_an_option(first: int) -> None:
    key = Verifier(Ed25519PublicKey.from_public_bytes(bytes([first]) * 32))
    reader = argparse.ArgumentParser()
    reader.add_argument("--public-key")
    assert unpacked(reader.parse_args(["--public-key", packed(key)]).public_key).key_id == key.key_id
    with pytest.raises(Tampered):
        unpacked(packed(key)[:-2])
