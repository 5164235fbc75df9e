"""Receipts by the published vectors, through rotations, and against everything that forgers try."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gamification.domain.definitions import Amount
from services.gamification.domain.ledger import MOST
from services.gamification.domain.player import Grant, GrantStatus, Transfer
from services.gamification.keys import Key, encoded, parse
from services.gamification.receipts import MAX_BYTES, TYPE, KeyRing, ReceiptClaims, payload_of, signed

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
PRIVATE = hashlib.sha256(b"a key of these tests").digest()
PUBLIC = Ed25519PrivateKey.from_private_bytes(PRIVATE).public_key()
SECRET = hashlib.sha256(b"a secret of these tests").digest()


def eddsa(kid: str = "e1", state: str = "signing", **more: Any) -> dict[str, Any]:
    return {"kid": kid, "alg": "EdDSA", "d": encoded(PRIVATE), "state": state, **more}


def hs256(kid: str = "h1", state: str = "signing", **more: Any) -> dict[str, Any]:
    return {"kid": kid, "alg": "HS256", "k": encoded(SECRET), "state": state, **more}


def ring(*keys: dict[str, Any]) -> KeyRing:
    return KeyRing(parse(json.dumps(keys)))


def claimed(**changes: Any) -> tuple[Grant, list[Transfer]]:
    """A grant that was claimed, and what the claim moved."""
    fields: dict[str, Any] = {
        "id": "g-0123456789abcdef0123456789abcdef",
        "user_id": "ada",
        "reward_id": "bag",
        "reward_version": 1,
        "source": "achievement",
        "source_id": "first_blood",
        "cycle": 1,
        "title": "A bag",
        "status": GrantStatus.CLAIMED,
        "contents": (Amount("currency:gold", 5), Amount("item:potion", 2, "consumable")),
        "seed": b"",
        "cause": "event-1",
        "granted_at": NOW - timedelta(days=1),
        "claimed_at": NOW,
    }
    grant = Grant(**(fields | changes))
    transfers = [
        Transfer(f"{grant.id}:claim:{n}", "claim", "escrow:ada", "player:ada", each, grant.id, "ada", NOW)
        for n, each in enumerate(grant.contents)
    ]
    return grant, transfers


CLAIMS = ReceiptClaims(
    grant_id="g-0123456789abcdef0123456789abcdef",
    user_id="ada",
    issued_at=NOW.replace(microsecond=0),
    contents=(Amount("currency:gold", 5), Amount("item:potion", 2, "consumable")),
    transfer_ids=(
        "g-0123456789abcdef0123456789abcdef:claim:0",
        "g-0123456789abcdef0123456789abcdef:claim:1",
    ),
    source="achievement",
    source_id="first_blood",
    cause="event-1",
)


def part(value: object) -> str:
    return encoded(json.dumps(value).encode() if not isinstance(value, bytes) else value)


def decoded(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def forged(header: object, payload: object, secret: bytes | Ed25519PrivateKey) -> str:
    """Signed by hand, with any header."""
    text = f"{part(header)}.{part(payload)}"
    if isinstance(secret, bytes):
        return f"{text}.{encoded(hmac.digest(secret, text.encode(), 'sha256'))}"
    return f"{text}.{encoded(secret.sign(text.encode()))}"


def payload(**changes: Any) -> dict[str, Any]:
    return decoded(ring(eddsa()).sign(*claimed()).split(".")[1]) | changes  # type: ignore[no-any-return]


HEADER = {"alg": "EdDSA", "kid": "e1", "typ": TYPE}
KEY = Ed25519PrivateKey.from_private_bytes(PRIVATE)

# -- published vectors ----------------------------------------------------------------------------------


def published(**material: str) -> Key:
    (key,) = parse(json.dumps([{"kid": "published", "state": "signing", **material}]))
    return key


RFC7515_A1 = published(
    alg="HS256", k="AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
)
RFC7515_A1_JWS = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
RFC8037_A4 = published(
    alg="EdDSA",
    d="nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    x="11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
)
RFC8037_A4_JWS = (
    "eyJhbGciOiJFZERTQSJ9"
    ".RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


def test_rfc_7515_a1_hs256() -> None:
    said = json.loads(payload_of(RFC7515_A1_JWS, RFC7515_A1))
    assert said == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}


def test_rfc_8037_a4_ed25519() -> None:
    assert payload_of(RFC8037_A4_JWS, RFC8037_A4) == b"Example of Ed25519 signing"


@pytest.mark.parametrize(
    ("jws", "key"), [(RFC7515_A1_JWS, RFC7515_A1), (RFC8037_A4_JWS, RFC8037_A4)], ids=["HS256", "EdDSA"]
)
def test_a_bit_of_a_published_vector_changed_is_refused(jws: str, key: Key) -> None:
    header, body, signature = jws.split(".")
    for at in range(len(signature) - 1):  # of the last character, some bits say nothing
        other = "A" if signature[at] != "A" else "B"
        changed = f"{header}.{body}.{signature[:at]}{other}{signature[at + 1 :]}"
        with pytest.raises(Exception, match="SIGNATURE_WRONG"):
            payload_of(changed, key)


# -- what a receipt says --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [eddsa(), hs256()], ids=["EdDSA", "HS256"])
def test_a_receipt_says_what_was_paid(key: dict[str, Any]) -> None:
    receipt = ring(key).sign(*claimed())
    verified = ring(key).verify(receipt, NOW)
    assert (verified.problem, verified.kid, verified.claims) == ("", key["kid"], CLAIMS)
    header, body, _ = receipt.split(".")
    assert decoded(header) == {"alg": key["alg"], "kid": key["kid"], "typ": TYPE}
    assert decoded(body) == {
        "iss": "arenamesh",
        "jti": CLAIMS.grant_id,
        "sub": "ada",
        "iat": int(NOW.timestamp()),
        "items": [
            {"currency": "gold", "quantity": "5"},
            {"item": "potion", "quantity": "2", "type": "consumable"},
        ],
        "transfers": list(CLAIMS.transfer_ids),
        "source": "achievement",
        "source_id": "first_blood",
        "cause": "event-1",
    }


def test_a_third_party_needs_only_the_published_key() -> None:
    """By the standard alone: nothing of ours checks it here."""
    (published_key,) = ring(eddsa()).jwks(NOW)
    assert published_key._asdict() == {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": encoded(PUBLIC.public_bytes_raw()),
        "kid": "e1",
        "use": "sig",
        "alg": "EdDSA",
    }
    text, _, signature = ring(eddsa()).sign(*claimed()).rpartition(".")
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(published_key.x + "="))
    public.verify(base64.urlsafe_b64decode(signature + "=="), text.encode())


@pytest.mark.parametrize("key", [eddsa(), hs256()], ids=["EdDSA", "HS256"])
def test_the_same_claim_has_the_same_receipt(key: dict[str, Any]) -> None:
    assert ring(key).sign(*claimed()) == ring(key).sign(*claimed())


def test_what_was_owned_before_is_not_on_the_receipt() -> None:
    grant, transfers = claimed(
        contents=(Amount("item:hat", 1, "cosmetic", owned_before=True), Amount("currency:gold", 5))
    )
    claims = ring(eddsa()).verify(ring(eddsa()).sign(grant, transfers), NOW).claims
    assert claims is not None
    assert claims.contents == (Amount("currency:gold", 5),)
    assert len(claims.transfer_ids) == 2


def test_the_greatest_amounts_are_exact() -> None:
    receipt = ring(eddsa()).sign(*claimed(contents=(Amount("currency:gold", MOST),)))
    claims = ring(eddsa()).verify(receipt, NOW).claims
    assert claims is not None
    assert claims.contents[0].quantity == MOST


def test_the_longest_receipt_can_still_be_checked() -> None:
    """The contract lets a loot table draw 32 + 100 different things, with names of 64 characters."""
    contents = tuple(Amount(f"item:{number:064}", 10**12, "t" * 32) for number in range(132))
    grant, transfers = claimed(contents=contents, source_id="s" * 160, cause="é" * 255, user_id="u" * 64)
    receipt = ring(eddsa("k" * 64)).sign(grant, transfers)
    assert len(receipt) <= MAX_BYTES
    assert ring(eddsa("k" * 64)).verify(receipt, NOW).problem == ""


TEXTS = st.text(max_size=20)


@settings(max_examples=50)
@given(
    user_id=TEXTS.filter(bool),
    source_id=TEXTS,
    cause=TEXTS,
    contents=st.lists(
        st.builds(
            Amount,
            st.tuples(st.sampled_from(["item", "currency"]), TEXTS.filter(bool)).map(":".join),
            st.integers(1, MOST),
            TEXTS,
        ),
        max_size=5,
    ),
    by=st.sampled_from([eddsa(), hs256()]),
)
def test_whatever_is_signed_is_read_again(
    user_id: str, source_id: str, cause: str, contents: list[Amount], by: dict[str, Any]
) -> None:
    grant, transfers = claimed(user_id=user_id, source_id=source_id, cause=cause, contents=tuple(contents))
    claims = ring(by).verify(ring(by).sign(grant, transfers), NOW).claims
    assert claims is not None
    assert (claims.user_id, claims.source_id, claims.cause) == (user_id, source_id, cause)
    assert claims.contents == tuple(contents)


# -- rotation -------------------------------------------------------------------------------------------


def test_old_receipts_verify_while_a_key_is_replaced() -> None:
    """The way that the README describes: everywhere to verify, then to sign, then retired, then gone."""
    other = {"kid": "e2", "alg": "EdDSA", "d": encoded(hashlib.sha256(b"another").digest())}
    before = ring(eddsa())
    added = ring(eddsa(), {**other, "state": "verify"})
    switched = ring(eddsa(state="verify"), {**other, "state": "signing"})
    end = NOW + timedelta(days=30)
    retired = ring(eddsa(state="verify", not_after=end.isoformat()), {**other, "state": "signing"})
    gone = ring({**other, "state": "signing"})
    old, new = before.sign(*claimed()), switched.sign(*claimed())
    assert old != new
    assert [each.verify(old, NOW).problem for each in (before, added, switched, retired)] == [""] * 4
    assert [each.verify(new, NOW).problem for each in (added, switched, retired, gone)] == [""] * 4
    assert before.verify(new, NOW).problem == "KEY_UNKNOWN", (
        "who signs before all know the key is not believed"
    )
    assert retired.verify(old, end - timedelta(microseconds=1)).problem == ""
    assert retired.verify(old, end).problem == "KEY_EXPIRED"
    assert gone.verify(old, NOW).problem == "KEY_UNKNOWN"
    assert [[key.kid for key in each.jwks(end)] for each in (before, added, switched, retired, gone)] == [
        ["e1"],
        ["e1", "e2"],
        ["e1", "e2"],
        ["e2"],
        ["e2"],
    ]


def test_from_one_algorithm_to_the_other() -> None:
    both = ring(eddsa(), hs256(state="verify"))
    old = ring(hs256()).sign(*claimed())
    assert both.verify(old, NOW).claims == CLAIMS
    assert [key.kid for key in both.jwks(NOW)] == ["e1"], "a secret is never published"


def test_a_revoked_key_counts_no_longer() -> None:
    revoked = ring(eddsa(state="revoked"), hs256())
    verified = revoked.verify(ring(eddsa()).sign(*claimed()), NOW)
    assert (verified.problem, verified.kid, verified.claims) == ("KEY_REVOKED", "e1", None)
    assert revoked.jwks(NOW) == []


def test_who_only_verifies_needs_only_the_public_part() -> None:
    public = {"kid": "e1", "alg": "EdDSA", "x": encoded(PUBLIC.public_bytes_raw()), "state": "verify"}
    assert ring(public, hs256()).verify(ring(eddsa()).sign(*claimed()), NOW).claims == CLAIMS


# -- forgeries ------------------------------------------------------------------------------------------


def problem(receipt: str, *keys: dict[str, Any]) -> str:
    verified = ring(*(keys or (eddsa(), hs256(state="verify")))).verify(receipt, NOW)
    assert (verified.claims is None) == bool(verified.problem)
    return verified.problem


def test_by_hand_is_as_good_as_by_us() -> None:
    """Else the forgeries below could fail for another reason than they should."""
    assert problem(forged(HEADER, payload(), KEY)) == ""
    assert problem(forged({**HEADER, "kid": "h1", "alg": "HS256"}, payload(), SECRET)) == ""


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({**HEADER, "kid": "e9"}, "KEY_UNKNOWN"),
        ({"alg": "EdDSA", "typ": TYPE}, "KEY_UNKNOWN"),
        ({**HEADER, "kid": ""}, "KEY_UNKNOWN"),
        ({**HEADER, "kid": "e9", "alg": "none"}, "ALGORITHM_WRONG"),
        ({**HEADER, "kid": "e9", "crit": ["exp"], "exp": 1}, "MALFORMED"),
        ({**HEADER, "kid": 7}, "MALFORMED"),
        ({**HEADER, "kid": ["e1"]}, "MALFORMED"),
        ({**HEADER, "alg": "none"}, "ALGORITHM_WRONG"),
        ({**HEADER, "alg": "NONE"}, "ALGORITHM_WRONG"),
        ({**HEADER, "alg": "ES256"}, "ALGORITHM_WRONG"),
        ({**HEADER, "alg": "HS256"}, "ALGORITHM_WRONG"),
        ({**HEADER, "alg": ["EdDSA"]}, "ALGORITHM_WRONG"),
        ({"kid": "e1", "typ": TYPE}, "ALGORITHM_WRONG"),
        ({**HEADER, "kid": "h1"}, "ALGORITHM_WRONG"),
        ({**HEADER, "typ": "JWT"}, "MALFORMED"),
        ({"alg": "EdDSA", "kid": "e1"}, "MALFORMED"),
        ({**HEADER, "crit": ["exp"], "exp": 1}, "MALFORMED"),
        ({**HEADER, "crit": []}, "MALFORMED"),
        ({**HEADER, "b64": False}, "MALFORMED"),
        ({**HEADER, "b64": False, "crit": ["b64"]}, "MALFORMED"),
        (b'{"alg":"EdDSA","kid":"e1","kid":"e1","typ":"' + TYPE.encode() + b'"}', "MALFORMED"),
        (b"[]", "MALFORMED"),
        (b"{", "MALFORMED"),
        (b"\xff", "MALFORMED"),
        (b"[" * 20_000, "MALFORMED"),
        (b'{"n":' + b"9" * 10_000 + b"}", "MALFORMED"),
    ],
)
def test_a_header_that_says_anything_else_is_refused(header: object, expected: str) -> None:
    assert problem(forged(header, payload(), KEY)) == expected


@pytest.mark.parametrize("jwk", ["jwk", "jku", "x5u"])
def test_a_key_that_a_receipt_brings_along_is_not_looked_at(jwk: str) -> None:
    own = Ed25519PrivateKey.from_private_bytes(bytes(32))
    brought = {"kty": "OKP", "crv": "Ed25519", "x": encoded(own.public_key().public_bytes_raw())}
    assert problem(forged({**HEADER, jwk: brought}, payload(), own)) == "SIGNATURE_WRONG"


def test_nothing_at_all_is_no_signature() -> None:
    for alg, kid in (("EdDSA", "e1"), ("HS256", "h1")):
        text = f"{part({**HEADER, 'alg': alg, 'kid': kid})}.{part(payload())}"
        assert problem(f"{text}.") == "SIGNATURE_WRONG"
        assert problem(text) == "MALFORMED"
    assert problem(f"{part({**HEADER, 'alg': 'none'})}.{part(payload())}.") == "ALGORITHM_WRONG"


@pytest.mark.parametrize(
    "secret",
    [PUBLIC.public_bytes_raw(), encoded(PUBLIC.public_bytes_raw()).encode()],
    ids=["raw", "base64url"],
)
def test_a_public_key_is_no_secret_of_hs256(secret: bytes) -> None:
    """The oldest forgery: what everybody knows used as what nobody knows."""
    assert problem(forged({**HEADER, "alg": "HS256"}, payload(), secret), eddsa()) == "ALGORITHM_WRONG"


def test_no_key_speaks_for_another() -> None:
    assert problem(forged({**HEADER, "alg": "HS256", "kid": "h1"}, payload(), PRIVATE)) == "SIGNATURE_WRONG"
    assert (
        problem(forged(HEADER, payload(), Ed25519PrivateKey.from_private_bytes(SECRET))) == "SIGNATURE_WRONG"
    )


def test_a_changed_payload_is_refused() -> None:
    header, _, signature = ring(eddsa()).sign(*claimed()).split(".")
    richer = payload(items=[{"currency": "gold", "quantity": "50000"}])
    assert problem(f"{header}.{part(richer)}.{signature}") == "SIGNATURE_WRONG"


def test_no_truncation_verifies() -> None:
    receipt = ring(eddsa()).sign(*claimed())
    assert {problem(receipt[:length]) for length in range(len(receipt))} == {"MALFORMED", "SIGNATURE_WRONG"}
    longer = [receipt + more for more in ("A", "AA", ".", ".A", ".AA")]
    assert {problem(each) for each in longer} == {"MALFORMED", "SIGNATURE_WRONG"}


@pytest.mark.parametrize("text", ["", ".", "..", "...", "a.b.c", "é.b.c", " ", "null", "x" * 1000])
def test_what_is_no_receipt_at_all_is_malformed(text: str) -> None:
    assert problem(text) == "MALFORMED"


def test_one_text_only_is_the_receipt() -> None:
    """Who remembers receipts by their text must not meet the same one as another."""
    receipt = ring(eddsa()).sign(*claimed())
    header, body, signature = receipt.split(".")
    same = [f"{receipt}=", f"{receipt}==", f" {receipt}", f"{receipt}\n", f"{header}.{body} .{signature}"]
    # The last character of 64 bytes has four bits that mean nothing.
    same += [receipt[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh" if last != receipt[-1]]
    assert {problem(each) for each in same} <= {"MALFORMED", "SIGNATURE_WRONG"}


def test_a_huge_one_is_not_even_looked_into() -> None:
    huge = {"x": "y" * MAX_BYTES}
    assert problem(forged(HEADER, payload(more=huge), KEY)) == "MALFORMED"
    assert problem(forged({**HEADER, **huge}, payload(), KEY)) == "MALFORMED"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"[" * 10_000,
        payload(iss="somebody"),
        payload(jti=""),
        payload(jti=7),
        payload(sub=""),
        payload(iat=str(int(NOW.timestamp()))),
        payload(iat=NOW.timestamp()),
        payload(iat=True),
        payload(iat=-1),
        payload(iat=10**12),
        payload(iat=int(NOW.timestamp()) + 62),
        payload(items=None),
        payload(items=[{"quantity": "1"}]),
        payload(items=[{"item": "a", "currency": "b", "quantity": "1"}]),
        payload(items=[{"item": "a", "quantity": 1}]),
        payload(items=[{"item": "a", "quantity": "0"}]),
        payload(items=[{"item": "a", "quantity": "-1"}]),
        payload(items=[{"item": "a", "quantity": "01"}]),
        payload(items=[{"item": "a", "quantity": str(MOST + 1)}]),
        payload(items=[{"item": "a", "quantity": "1e3"}]),
        payload(transfers=[1]),
        payload(cause=None),
        {key: value for key, value in payload().items() if key != "source"},
    ],
)
def test_claims_of_another_kind_are_wrong_though_the_key_signed_them(said: object) -> None:
    assert problem(forged(HEADER, said, KEY)) == "CLAIMS_WRONG"


def test_clocks_may_be_a_minute_apart_and_claims_may_say_more() -> None:
    assert problem(forged(HEADER, payload(iat=int(NOW.timestamp()) + 60, later="more"), KEY)) == ""


@settings(max_examples=300)
@given(
    st.text(max_size=60) | st.binary(max_size=60).map(lambda data: encoded(data) + "." + encoded(data) + ".")
)
def test_nothing_makes_the_check_fail(text: str) -> None:
    assert problem(text)


@settings(max_examples=300)
@given(at=st.integers(0, 10_000), character=st.characters())
def test_one_character_changed_is_refused(at: int, character: str) -> None:
    receipt = ring(eddsa()).sign(*claimed())
    at %= len(receipt)
    changed = receipt[:at] + character + receipt[at + 1 :]
    assert changed == receipt or problem(changed)


def test_any_bytes_that_a_key_signs_it_reads_again() -> None:
    for key in parse(json.dumps([eddsa(), hs256(state="verify")])):
        assert payload_of(signed(key, b"anything"), key) == b"anything"
