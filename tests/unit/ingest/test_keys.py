"""The settings of producers' keys: what they may say, and that no fault of them shows a secret."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.ingest.keys import DEVELOPMENT_SECRET, MAX_KEYS, Key, KeysError, faults, parse

SECRET = "a secret of a studio, long enough"
KEY = {"producer": "studio", "kid": "a", "secret": SECRET}
PUBLIC = Ed25519PrivateKey.from_private_bytes(b"p" * 32).public_key().public_bytes_raw()


def base(data: bytes, prefix: str) -> str:
    return prefix + base64.b64encode(data).decode()


def changed(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (KEY | changes).items() if value is not None}


def problems(*keys: object, secret: str = "") -> list[str]:
    return faults(json.dumps(keys), secret, "production")


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        changed(secret=base(b"s" * 24, "whsec_")),
        changed(secret=None, public_key=base(PUBLIC, "whpk_")),
        changed(state="retired"),
        changed(not_after="2030-01-01T00:00:00+02:00"),
    ],
)
def test_a_key_as_it_should_be(key: dict[str, Any]) -> None:
    assert problems(key) == []
    assert problems(changed(kid="b"), key, secret="the one key of the source's setting") == []


def test_what_keys_say() -> None:
    listed = json.dumps(
        [KEY, changed(kid="b", secret="whsec_" + base64.b64encode(b"x" * 30).decode(), state="retired")]
    )
    assert parse(listed, SECRET) == [
        Key("studio", "a", SECRET.encode()),
        Key("studio", "b", b"x" * 30, retired=True),
        Key("default", "default", SECRET.encode()),
    ]


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ([changed(producer="")], "INGEST_KEYS[0].producer: "),
        ([changed(producer="Studio")], "INGEST_KEYS[0].producer: "),
        ([changed(kid="a b")], "INGEST_KEYS[0].kid: "),
        ([changed(kid=None)], "INGEST_KEYS[0].kid: Field required"),
        ([changed(extra=1)], "INGEST_KEYS[0].extra: "),
        ([changed(state="signing")], "INGEST_KEYS[0].state: "),
        ([changed(not_after="2030-01-01T00:00:00")], "INGEST_KEYS[0].not_after: "),
        ([changed(secret="too short")], "INGEST_KEYS[0].secret: must be 24 to 1024 bytes"),
        ([changed(secret=24)], "INGEST_KEYS[0].secret: must be a text"),
        ([changed(secret=base(b"s" * 23, "whsec_"))], "INGEST_KEYS[0].secret: must be 24 to 1024 bytes"),
        ([changed(secret="whsec_not base64 at all, although long")], "INGEST_KEYS[0].secret: must be base64"),
        ([changed(public_key=base(PUBLIC, "whpk_"))], "INGEST_KEYS[0]: needs either secret or public_key"),
        ([changed(secret=None)], "INGEST_KEYS[0]: needs either secret or public_key"),
        (
            [changed(secret=None, public_key=base(PUBLIC[:31], "whpk_"))],
            "INGEST_KEYS[0].public_key: must be 32",
        ),
        (
            [changed(secret=None, public_key=base(PUBLIC, "whsec_"))],
            "INGEST_KEYS[0].public_key: must be a text",
        ),
        ([KEY, KEY], "INGEST_KEYS: 2 keys are named a"),
        ([changed(kid="default")], "INGEST_KEYS: default is the name of HMAC_SECRET"),
        ([changed(kid=str(at)) for at in range(MAX_KEYS + 1)], "INGEST_KEYS: "),
    ],
)
def test_a_fault_says_where_it_is(keys: list[dict[str, Any]], fault: str) -> None:
    found = problems(*keys)
    assert len(found) == 1
    assert found[0].startswith(fault)


@pytest.mark.parametrize("text", ["{}", "[", "no json", '["text"]'])
def test_no_list_of_keys(text: str) -> None:
    assert faults(text, "", "development")[0].startswith("INGEST_KEYS")


def test_no_fault_and_no_key_shows_a_secret() -> None:
    secrets = ("whsec_secret that is no base64", "short secret")
    told = " ".join(problems(*(changed(secret=secret) for secret in secrets), secret="tiny secret"))
    with pytest.raises(KeysError) as raised:
        parse(json.dumps([changed(secret="short secret")]), "")
    assert "secret that" not in told
    assert "short secret" not in told + str(raised.value)
    assert "tiny secret" not in told
    assert SECRET not in repr(parse(json.dumps([KEY]), ""))


def test_a_short_hmac_secret() -> None:
    assert faults("", "too short", "development") == ["HMAC_SECRET: must be 24 to 1024 bytes"]


def test_the_development_secret_is_for_development() -> None:
    assert parse("", "") == [Key("default", "default", DEVELOPMENT_SECRET.encode())]
    assert faults("", "", "development") == []
    assert faults("", "", "production") == [
        "INGEST_KEYS: outside ENVIRONMENT=development it is needed, or HMAC_SECRET"
    ]
    refused = "the development secret is refused outside ENVIRONMENT=development"
    assert faults("", DEVELOPMENT_SECRET, "production") == [f"HMAC_SECRET: {refused}"]
    assert problems(changed(secret=DEVELOPMENT_SECRET)) == [f"INGEST_KEYS: {refused}"]
    hidden = base(DEVELOPMENT_SECRET.encode(), "whsec_")
    assert problems(changed(secret=hidden)) == [f"INGEST_KEYS: {refused}"]
    assert faults(json.dumps([KEY]), "", "production") == []


def test_when_a_key_is_over() -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    key = parse(json.dumps([changed(not_after="2030-01-01T00:00:00Z")]), "")[0]
    assert not key.is_over(at.replace(year=2029))
    assert key.is_over(at)
    assert Key("studio", "a", b"", retired=True).is_over(at.replace(year=2029))
