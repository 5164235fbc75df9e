"""Tokens: what is accepted, what is refused and why."""

import base64
import json

import jwt
import pytest
from arenamesh.combat.v1 import service_pb2
from arenamesh.common.v1 import access_pb2
from arenamesh.gamification.v1 import reward_service_pb2
from google.protobuf import descriptor_pb2, descriptor_pool

from services.chassis import auth, clock
from services.chassis.auth import Access, Principal, Role, Verifier, mint
from services.chassis.errors import PermissionDenied, Unauthenticated

SECRET = "a-secret-for-these-tests-of-32-bytes-or-more"


def claims(**changes: object) -> dict[str, object]:
    now = clock.unix_s()
    base: dict[str, object] = {
        "iss": "arenamesh",
        "aud": "arenamesh",
        "sub": "ann",
        "role": "player",
        "iat": now,
        "exp": now + 60,
    }
    return {key: value for key, value in (base | changes).items() if value is not None}


def bearer(token: str) -> dict[str, str | bytes]:
    return {"authorization": f"Bearer {token}"}


def refused(metadata: dict[str, str | bytes]) -> str:
    with pytest.raises(Unauthenticated) as caught:
        Verifier(SECRET).verify(metadata)
    return caught.value.reason


@pytest.mark.parametrize("role", Role)
def test_a_minted_token_is_accepted(role: Role) -> None:
    caller = Verifier(SECRET).verify(bearer(mint(SECRET, subject="ann", role=role)))
    assert (caller.subject, caller.role) == ("ann", role)


def test_the_scheme_has_no_case() -> None:
    token = mint(SECRET, subject="ann", role=Role.PLAYER)
    assert Verifier(SECRET).verify({"authorization": f"bearer {token}"}).subject == "ann"


def test_missing() -> None:
    assert refused({}) == "TOKEN_MISSING"
    assert refused({"authorization": ""}) == "TOKEN_MISSING"


@pytest.mark.parametrize("header", ["abc", "Basic YTpi", "Bearer ", "Bearer a.b.c", "Bearer \u2028"])
def test_not_a_token(header: str) -> None:
    assert refused({"authorization": header}) == "TOKEN_INVALID"


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"},
        {"aud": "somebody"},
        {"role": "root"},
        {"role": None},
        {"sub": None},
        {"exp": None},
        {"iat": None},
        {"exp": "soon"},
    ],
    ids=str,
)
def test_wrong_claims(change: dict[str, object]) -> None:
    assert refused(bearer(jwt.encode(claims(**change), SECRET, algorithm="HS256"))) == "TOKEN_INVALID"


def test_forged() -> None:
    assert refused(bearer(mint("another-secret-of-32-bytes-or-more-here", subject="ann", role=Role.OPERATOR)))
    header, body, signature = mint(SECRET, subject="ann", role=Role.PLAYER).split(".")
    raised = json.loads(base64.urlsafe_b64decode(body + "==")) | {"role": "operator"}
    body = base64.urlsafe_b64encode(json.dumps(raised).encode()).decode().rstrip("=")
    assert refused(bearer(f"{header}.{body}.{signature}")) == "TOKEN_INVALID"


def test_unsigned() -> None:
    assert refused(bearer(jwt.encode(claims(), "", algorithm="none"))) == "TOKEN_INVALID"


def test_expired_also_when_it_was_seen_before(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = Verifier(SECRET)
    metadata = bearer(mint(SECRET, subject="ann", role=Role.PLAYER, lifetime_s=60))
    assert verifier.verify(metadata).subject == "ann"
    later = clock.unix_s() + 60
    monkeypatch.setattr(clock, "unix_s", lambda: later)
    with pytest.raises(Unauthenticated) as caught:
        verifier.verify(metadata)
    assert caught.value.reason == "TOKEN_EXPIRED"


def test_require() -> None:
    caller = Principal("ann", Role.PLAYER, 0)
    auth.require(caller, frozenset({Role.PLAYER}))
    with pytest.raises(PermissionDenied) as caught:
        auth.require(caller, frozenset({Role.OPERATOR, Role.SERVICE}))
    assert caught.value.metadata == {"role": "player", "allowed": "operator,service"}


def test_access_is_read_from_the_contract() -> None:
    table = auth.access_table(service_pb2.DESCRIPTOR.services_by_name["CombatService"])
    assert table["Play"] == Access(frozenset({Role.PLAYER, Role.GAME_SERVER}), public=False)
    assert table["CreateSession"].roles == {Role.GAME_SERVER, Role.OPERATOR, Role.SERVICE}
    table = auth.access_table(reward_service_pb2.DESCRIPTOR.services_by_name["RewardService"])
    assert table["GetKeys"] == Access(frozenset(), public=True)
    assert not table["ClaimReward"].public


@pytest.mark.parametrize(
    ("declared", "clear"),
    [
        (None, False),
        (access_pb2.Access(), False),
        (access_pb2.Access(roles=[access_pb2.ROLE_UNSPECIFIED]), False),
        (access_pb2.Access(roles=[access_pb2.ROLE_PLAYER], public=True), False),
        (access_pb2.Access(roles=[access_pb2.ROLE_PLAYER]), True),
        (access_pb2.Access(public=True), True),
    ],
    ids=str,
)
def test_a_method_has_roles_or_is_public(declared: access_pb2.Access | None, clear: bool) -> None:
    """Neither, or both, stops the start."""
    file = descriptor_pb2.FileDescriptorProto(name="open.proto", package="open", syntax="proto3")
    file.message_type.add(name="Empty")
    service = file.service.add(name="Open")
    method = service.method.add(name="Anyone", input_type=".open.Empty", output_type=".open.Empty")
    if declared is not None:
        method.options.Extensions[access_pb2.access].CopyFrom(declared)  # type: ignore[index]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindServiceByName("open.Open")
    if clear:
        assert auth.access_table(found).keys() == {"Anyone"}
        return
    with pytest.raises(auth.AccessUndeclaredError, match=r"open\.Open: roles, or public, for Anyone"):
        auth.access_table(found)
