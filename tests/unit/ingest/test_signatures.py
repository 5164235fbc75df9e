"""Who signed a body: the cases that Standard Webhooks' own libraries are tested with, and the other form."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import Unauthenticated
from services.ingest import keys, signatures
from services.ingest.keys import Key
from services.ingest.signatures import MAX_SIGNATURES, Signed, Verifier

SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
BODY = b'{"test": 2432232314}'
# Published with the specification; openssl comes to the same.
PUBLISHED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
NOW = datetime.fromtimestamp(AT, UTC)
STUDIO = Key("studio", "k1", base64.b64decode(SECRET))
OLD = Key("studio", "k0", b"the secret before this one")
OTHER = Key("partner", "p1", b"somebody else's own secret")
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"an Ed25519 key for these tests!!")
ASYMMETRIC = Key("studio", "e1", PRIVATE.public_key())

SOURCE_BODY = b'{"type":"progression","playerId":"p1","ts":1730560000,"payload":{"deltaXp":10}}'
SOURCE_SECRET = b"your-very-long-secret-key-at-least-32-characters-long"
# printf '%s' "$BODY" | openssl dgst -sha256 -hmac "$HMAC_SECRET"
SOURCE_HEX = "dd6c34eb4b981e9ac0fce743e64d4dac1e3d35003de6f8ef81bf56cb2207c4bb"


def content(body: bytes = BODY, at: int | str = AT, id_: str = ID) -> bytes:
    return f"{id_}.{at}.".encode() + body


def v1(key: Key, signed: bytes) -> str:
    assert isinstance(key.material, bytes)
    return f"v1,{base64.b64encode(hmac.digest(key.material, signed, 'sha256')).decode()}"


def v1a(signed: bytes) -> str:
    return f"v1a,{base64.b64encode(PRIVATE.sign(signed)).decode()}"


def headers(signature: str = PUBLISHED, **changes: str | None) -> dict[str, str]:
    """`webhook_id=None`: without that header."""
    whole = {
        "webhook-id": ID,
        "webhook-timestamp": str(AT),
        "webhook-signature": signature,
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return {name: value for name, value in whole.items() if value is not None}


def verify(
    given: dict[str, str],
    body: bytes = BODY,
    now: datetime = NOW,
    ring: tuple[Key, ...] = (STUDIO,),
    body_signatures: bool = True,
) -> Signed:
    return Verifier(ring, body_signatures=body_signatures).verify(given, body, now)


def refused(given: dict[str, str], **how: object) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as told:
        verify(given, **how)  # type: ignore[arg-type]
    return told.value


def test_the_published_signature_is_right() -> None:
    digest = hashlib.sha256(BODY).digest()
    assert verify(headers()) == Signed("studio", "k1", ID, digest)
    assert v1(STUDIO, content()) == PUBLISHED


def test_a_prefixed_secret_is_the_same_key() -> None:
    ring = keys.parse(f'[{{"producer": "studio", "kid": "k1", "secret": "whsec_{SECRET}"}}]', "")
    assert verify(headers(), ring=tuple(ring)).producer == "studio"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("empty", [True, False])
def test_a_missing_header_is_named(name: str, empty: bool) -> None:
    given = headers() | {name: ""}
    if not empty:
        del given[name]
    error = refused(given)
    assert (error.reason, error.metadata) == ("SIGNATURE_MISSING", {"header": name})


def test_nothing_at_all_is_missing() -> None:
    assert refused({}).metadata == {"header": "x-signature"}
    assert refused({}, body_signatures=False).metadata == {"header": "webhook-signature"}
    assert refused({"x-key-id": "k1"}).reason == "SIGNATURE_MISSING"


@pytest.mark.parametrize(
    "at",
    ["hello", "1614265330.0", "-1614265330", "+1614265330", " 1614265330", "1" * 13, "\uff11614265330"],
)
def test_a_bad_timestamp(at: str) -> None:
    signature = v1(STUDIO, content(at=at))
    assert refused(headers(signature, webhook_timestamp=at)).reason == "TIMESTAMP_INVALID"


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        (timedelta(minutes=5), ""),
        (timedelta(minutes=5, microseconds=1), "TIMESTAMP_TOO_OLD"),
        (timedelta(days=20_000), "TIMESTAMP_TOO_OLD"),
        (timedelta(minutes=-5), ""),
        (timedelta(minutes=-5, microseconds=-1), "TIMESTAMP_TOO_NEW"),
    ],
)
def test_the_tolerance_is_five_minutes_both_ways(later: timedelta, reason: str) -> None:
    if not reason:
        assert verify(headers(), now=NOW + later).kid == "k1"
    else:
        assert refused(headers(), now=NOW + later).reason == reason


def test_the_farthest_future_is_too_new() -> None:
    at = "9" * 12
    assert refused(headers(v1(STUDIO, content(at=at)), webhook_timestamp=at)).reason == "TIMESTAMP_TOO_NEW"


@pytest.mark.parametrize(
    "signature",
    [
        "v1",
        "v1,",
        PUBLISHED[:-1],
        PUBLISHED[:20],
        PUBLISHED.removeprefix("v1,"),
        PUBLISHED.replace("v1,", "v2,"),
        PUBLISHED.replace("v1,", "v1a,"),
        PUBLISHED.upper(),
        f"{PUBLISHED},{PUBLISHED}",
        "v1,não",
        "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=",
    ],
)
def test_a_signature_that_is_only_partly_one(signature: str) -> None:
    assert refused(headers(signature)).reason == "SIGNATURE_WRONG"


@pytest.mark.parametrize("signature", [PUBLISHED[:-2] + "F=", PUBLISHED[:-1] + "==", PUBLISHED + "="])
def test_another_text_of_the_same_bytes_is_none(signature: str) -> None:
    """One signature has one text."""
    assert refused(headers(signature)).reason == "SIGNATURE_WRONG"


def test_one_of_several_signatures_is_enough() -> None:
    wrong = v1(OTHER, content())
    assert verify(headers(f"{wrong} v2,{SECRET} {PUBLISHED} {wrong}")).kid == "k1"
    assert refused(headers(f"{wrong} {wrong}")).reason == "SIGNATURE_WRONG"


def test_signatures_are_counted() -> None:
    wrong = [v1(OTHER, content())] * (MAX_SIGNATURES - 1)
    assert verify(headers(" ".join([*wrong, PUBLISHED]))).kid == "k1"
    assert refused(headers(" ".join([*wrong, *wrong[:1], PUBLISHED]))).reason == "SIGNATURE_WRONG"


@pytest.mark.parametrize(
    "body", [b"", BODY[:-1], BODY + b" ", BODY + b"\n", b'{"test":2432232314}', BODY[::-1]]
)
def test_another_body_is_not_signed(body: bytes) -> None:
    """Wrong, truncated, or only written otherwise."""
    assert refused(headers(), body=body).reason == "SIGNATURE_WRONG"


def test_neither_id_nor_time_can_be_exchanged() -> None:
    assert refused(headers(webhook_id="msg_other")).reason == "SIGNATURE_WRONG"
    assert refused(headers(webhook_timestamp=str(AT + 1))).reason == "SIGNATURE_WRONG"


@pytest.mark.parametrize("id_", ["a.b", "a b", "a\n", "ä", "x" * 129])
def test_an_id_that_could_be_read_otherwise(id_: str) -> None:
    """With a point in it, `a.1.2` and `a` with the time `1.2` would be the same signed text."""
    assert refused(headers(v1(STUDIO, content(id_=id_)), webhook_id=id_)).reason == "MESSAGE_ID_INVALID"


def test_a_key_changes_without_a_gap() -> None:
    both, old, new = (OLD, STUDIO), v1(OLD, content()), PUBLISHED
    assert verify(headers(old), ring=both).kid == "k0"
    assert verify(headers(new), ring=both).kid == "k1"
    over = (Key("studio", "k0", OLD.material, retired=True), STUDIO)
    error = refused(headers(old), ring=over)
    assert (error.reason, error.metadata) == ("KEY_RETIRED", {"kid": "k0"})
    assert verify(headers(f"{old} {new}"), ring=over).kid == "k1"


def test_a_key_counts_until_its_end() -> None:
    ending = (Key("studio", "k1", STUDIO.material, not_after=NOW + timedelta(seconds=1)),)
    assert verify(headers(), ring=ending).kid == "k1"
    assert refused(headers(), ring=ending, now=NOW + timedelta(seconds=1)).reason == "KEY_RETIRED"
    assert (
        refused(headers(x_key_id="k1"), ring=ending, now=NOW + timedelta(minutes=1)).reason == "KEY_RETIRED"
    )


def test_the_same_secret_under_two_names_counts_while_one_does() -> None:
    ring = (Key("studio", "k0", STUDIO.material, retired=True), STUDIO)
    assert verify(headers(), ring=ring).kid == "k1"
    assert verify(headers(), ring=ring[::-1]).kid == "k1"


def test_a_named_key_is_the_only_one() -> None:
    ring = (STUDIO, OTHER)
    assert verify(headers(x_key_id="k1"), ring=ring).producer == "studio"
    assert refused(headers(x_key_id="p1"), ring=ring).reason == "SIGNATURE_WRONG"
    assert refused(headers(x_key_id="k9"), ring=ring).reason == "KEY_UNKNOWN"
    assert refused(headers(x_key_id=""), ring=ring).reason == "KEY_UNKNOWN"


def test_whose_signature_it_is() -> None:
    assert verify(headers(v1(OTHER, content())), ring=(STUDIO, OTHER)).producer == "partner"
    assert refused(headers(), ring=()).reason == "SIGNATURE_WRONG"


def test_an_asymmetric_signature() -> None:
    ring = (STUDIO, ASYMMETRIC)
    assert verify(headers(v1a(content())), ring=ring).kid == "e1"
    assert refused(headers(v1a(content(b"{}"))), ring=ring).reason == "SIGNATURE_WRONG"
    assert refused(headers(v1a(content()).replace("v1a,", "v1,")), ring=ring).reason == "SIGNATURE_WRONG"


def test_a_public_key_is_no_secret() -> None:
    """Whoever knows it cannot sign with it as if it were one."""
    forged = Key("studio", "e1", PRIVATE.public_key().public_bytes_raw())
    assert refused(headers(v1(forged, content())), ring=(ASYMMETRIC,)).reason == "SIGNATURE_WRONG"
    given = {"x-signature": hmac.digest(forged.material, BODY, "sha256").hex()}  # type: ignore[arg-type]
    assert refused(given, ring=(ASYMMETRIC,)).reason == "SIGNATURE_WRONG"


@pytest.mark.parametrize("text", [f"sha256={SOURCE_HEX}", SOURCE_HEX, f"sha256={SOURCE_HEX.upper()}"])
def test_the_sources_own_example(text: str) -> None:
    ring = tuple(keys.parse("", SOURCE_SECRET.decode()))
    signed = verify({"x-signature": text}, SOURCE_BODY, ring=ring)
    assert signed == Signed("default", "default", "", hashlib.sha256(SOURCE_BODY).digest())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256=",
        SOURCE_HEX[:-1],
        SOURCE_HEX + "0",
        f"sha256=sha256={SOURCE_HEX}",
        f"sha512={SOURCE_HEX}",
        f" {SOURCE_HEX}",
        "g" * 64,
        "0" * 64,
        "é" * 64,
        "your-hmac-signature",
    ],
)
def test_no_signature_of_the_sources_example(text: str) -> None:
    ring = tuple(keys.parse("", SOURCE_SECRET.decode()))
    assert refused({"x-signature": text}, body=SOURCE_BODY, ring=ring).reason == "SIGNATURE_WRONG"


def test_another_body_than_the_sources() -> None:
    ring = tuple(keys.parse("", SOURCE_SECRET.decode()))
    for body in (b"", SOURCE_BODY[:-1], SOURCE_BODY.replace(b"10", b"99")):
        assert refused({"x-signature": SOURCE_HEX}, body=body, ring=ring).reason == "SIGNATURE_WRONG"


def test_signatures_of_the_body_only_can_be_switched_off() -> None:
    given = {"x-signature": hmac.digest(base64.b64decode(SECRET), BODY, "sha256").hex()}
    assert verify(given).message_id == ""
    assert refused(given, body_signatures=False).reason == "SIGNATURE_NOT_ALLOWED"
    assert verify(headers(), body_signatures=False).kid == "k1"


def test_the_weaker_scheme_does_not_stand_in_for_the_stronger() -> None:
    weaker = hmac.digest(base64.b64decode(SECRET), BODY, "sha256").hex()
    given = headers(v1(OTHER, content()), x_signature=weaker)
    assert refused(given).reason == "SIGNATURE_WRONG"
    assert refused({"x-signature": weaker, "webhook-id": ID}).reason == "SIGNATURE_MISSING"


def test_digests_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def spy(right: bytes, given: bytes) -> bool:
        compared.append(given)
        return hmac.compare_digest(right, given)

    monkeypatch.setattr(signatures, "hmac", SimpleNamespace(digest=hmac.digest, compare_digest=spy))
    assert refused(headers("v1,wrong")).reason == "SIGNATURE_WRONG"
    assert verify(headers()).kid == "k1"
    assert compared == [b"v1,wrong", PUBLISHED.encode()]


HEADER_TEXT = st.one_of(
    st.text(max_size=80), st.sampled_from([ID, str(AT), PUBLISHED, SOURCE_HEX, "k1", "e1"])
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(sorted(signatures.HEADERS)), HEADER_TEXT), st.binary(max_size=40))
def test_whatever_comes_is_signed_or_refused(given: dict[str, str], body: bytes) -> None:
    try:
        signed = verify(given, body, ring=(STUDIO, ASYMMETRIC))
    except Unauthenticated as error:
        assert error.reason.isupper()
    else:
        assert body == BODY
        assert signed.kid == "k1"
