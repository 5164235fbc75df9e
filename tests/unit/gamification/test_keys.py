"""The setting of the key ring: what it may say, and that no fault of it shows a key."""

import json
from typing import Any

import pytest

from services.chassis.settings import SettingsError
from services.gamification.keys import RingError, encoded, faults, parse
from services.gamification.keys_cli import made, new_key
from services.gamification.settings import GamificationSettings

D, OTHER, K = encoded(b"d" * 32), encoded(b"o" * 32), encoded(b"k" * 32)
SIGNING = {"kid": "a", "alg": "EdDSA", "d": D, "state": "signing"}
DEVELOPMENT = encoded(b"arenamesh development receipts!!")


def problems(*keys: object) -> list[str]:
    return faults(json.dumps(keys), "production")


def changed(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in (SIGNING | changes).items() if value is not None}


@pytest.mark.parametrize(
    "keys",
    [
        [SIGNING],
        [changed(alg="HS256", d=None, k=K)],
        [SIGNING, changed(kid="b", d=None, x=OTHER, state="verify")],
        [SIGNING, changed(kid="b", state="verify", not_after="2030-01-01T00:00:00Z")],
        [SIGNING, changed(kid="b", state="revoked", not_after="2030-01-01T00:00:00+02:00")],
        [SIGNING, changed(kid="b", alg="HS256", d=None, k=encoded(bytes(64)), state="verify")],
    ],
)
def test_a_ring_as_it_should_be(keys: list[dict[str, Any]]) -> None:
    assert problems(*keys) == []
    assert [key.kid for key in parse(json.dumps(keys))] == [key["kid"] for key in keys]


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ([], "RECEIPT_KEYS: exactly one key must be signing, not 0"),
        ([changed(state="verify")], "RECEIPT_KEYS: exactly one key must be signing, not 0"),
        ([SIGNING, changed(kid="b")], "RECEIPT_KEYS: exactly one key must be signing, not 2"),
        ([SIGNING, changed(state="verify")], "RECEIPT_KEYS: 2 keys are named a"),
        ([changed(kid="")], "RECEIPT_KEYS[0].kid: "),
        ([changed(kid="a b")], "RECEIPT_KEYS[0].kid: "),
        ([changed(kid=None)], "RECEIPT_KEYS[0].kid: Field required"),
        ([changed(state="active")], "RECEIPT_KEYS[0].state: "),
        ([changed(alg="none")], "RECEIPT_KEYS[0]: "),
        ([changed(alg=None)], "RECEIPT_KEYS[0]: "),
        ([changed(d=encoded(b"d" * 31))], "RECEIPT_KEYS[0].d: "),
        ([changed(d=encoded(b"d" * 33))], "RECEIPT_KEYS[0].d: "),
        ([changed(d=D + "=")], "RECEIPT_KEYS[0].d: must be base64url without padding"),
        ([changed(d=D[:-1] + "Z")], "RECEIPT_KEYS[0].d: must be base64url without padding"),
        ([changed(d="é" * 43)], "RECEIPT_KEYS[0].d: must be base64url without padding"),
        ([changed(d=7)], "RECEIPT_KEYS[0].d: must be base64url without padding"),
        ([changed(x=OTHER)], "RECEIPT_KEYS[0]: x is not the public part of d"),
        ([changed(d=None, x=OTHER)], "RECEIPT_KEYS[0]: needs d to sign, and d or x to verify"),
        ([SIGNING, changed(kid="b", d=None, state="verify")], "RECEIPT_KEYS[1]: needs d to sign"),
        ([changed(alg="HS256", d=None)], "RECEIPT_KEYS[0].k: Field required"),
        ([changed(alg="HS256", d=None, k=encoded(b"k" * 31))], "RECEIPT_KEYS[0].k: "),
        ([changed(alg="HS256", k=K)], "RECEIPT_KEYS[0].d: "),
        (
            [changed(not_after="2030-01-01T00:00:00Z")],
            "RECEIPT_KEYS[0]: not_after is of keys that only verify",
        ),
        (
            [SIGNING, changed(kid="b", state="verify", not_after="2030-01-01T00:00:00")],
            "RECEIPT_KEYS[1].not_after: ",
        ),
        ([changed(more=1)], "RECEIPT_KEYS[0].more: "),
        (["a"], "RECEIPT_KEYS[0]: "),
    ],
)
def test_every_fault_has_its_place_and_shows_no_key(keys: list[Any], fault: str) -> None:
    found = problems(*keys)
    assert any(line.startswith(fault) for line in found), found
    for line in found:
        assert line.startswith("RECEIPT_KEYS")
        assert not any(secret in line for secret in (D[:20], OTHER[:20], K[:20]))


def test_what_is_no_json_is_told_without_showing_it() -> None:
    (fault,) = faults('{"d": "sesame', "development")
    assert fault.startswith("RECEIPT_KEYS: ")
    assert "sesame" not in fault
    with pytest.raises(RingError):
        parse("{}")


REFUSED = [
    "RECEIPT_KEYS: the development key is refused outside ENVIRONMENT=development; a new one: "
    "ENVIRONMENT=development python -m services.gamification.main new-key"
]


def test_the_development_key_is_for_development_only() -> None:
    assert faults("", "development") == []
    assert faults("", "production") == REFUSED
    (known,) = parse("")
    assert (known.kid, known.state) == ("development", "signing")


@pytest.mark.parametrize("state", ["verify", "revoked"])
def test_nor_is_it_under_another_name_or_in_another_shape(state: str) -> None:
    (known,) = parse("")
    assert not isinstance(known.verifying, bytes)
    public = encoded(known.verifying.public_bytes_raw())
    assert problems(changed(d=DEVELOPMENT)) == REFUSED
    assert problems(changed(alg="HS256", d=None, k=DEVELOPMENT)) == REFUSED
    assert problems(SIGNING, changed(kid="b", d=None, x=public, state=state)) == REFUSED


# -- new keys -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["EdDSA", "HS256"])
def test_a_new_key_fits_beside_the_others_and_can_sign(alg: str) -> None:
    new = made(alg)
    assert problems(SIGNING, new) == []
    assert problems({**new, "state": "signing"}) == []
    assert made(alg, "mine")["kid"] == "mine"


def test_no_two_new_keys_are_alike() -> None:
    keys = [made("EdDSA") for _ in range(100)]
    assert len({key["kid"] for key in keys}) == len({key["d"] for key in keys}) == 100


async def test_the_command_prints_a_key_and_how_to_rotate(capsys: pytest.CaptureFixture[str]) -> None:
    await new_key(GamificationSettings(), alg="HS256", kid="mine")
    printed = capsys.readouterr().out
    key, _, steps = printed.partition("\n\n")
    assert problems(SIGNING, json.loads(key)) == []
    assert all(word in steps for word in ("verify", "signing", "not_after", "revoked"))


def test_the_settings_know_the_faults_of_the_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIPT_KEYS", json.dumps([changed(alg="none")]))
    with pytest.raises(SettingsError, match=r"^RECEIPT_KEYS\[0\]: "):
        GamificationSettings.load()
    monkeypatch.setenv("RECEIPT_KEYS", json.dumps([SIGNING]))
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("JWT_SECRET", "s" * 32)
    assert GamificationSettings.load().receipt_keys.get_secret_value()
    monkeypatch.delenv("RECEIPT_KEYS")
    with pytest.raises(SettingsError, match="RECEIPT_KEYS: the development key"):
        GamificationSettings.load()
