"""Rates in Redis: the same as in a process, exact, and gone on with while Redis is away."""

from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.chassis import clock
from services.ingest import limits
from services.ingest.domain.gcra import ALLOWED, MAX_SPAN_US, Charge, Rate, Verdict
from services.ingest.intake import MAX_EVENTS
from services.ingest.limits import LocalRates, Rates, SharedRates
from services.ingest.settings import IngestSettings
from tests.support import redis as redis_server
from tests.support.rates import BEGIN_US, FIVE, SECOND, TABLE, Buckets, Groups, histories
from tests.support.redis import RedisServer

RETRY_S = 1.0


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One of these tests' own: it is killed."""
    with redis_server.server() as running:
        yield running


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    """Of an empty one."""
    async with Redis.from_url(server.url, socket_timeout=0.5, retry=Retry(NoBackoff(), 0)) as connected:
        await connected.flushall()
        yield connected


async def test_the_published_table(client: Redis) -> None:
    rates = SharedRates(client)
    for at_ms, cost, _, _, retry_ms in TABLE:
        [verdict] = await rates.take([[Charge("k", FIVE, cost)]], BEGIN_US + at_ms * 1000)
        denied = None if retry_ms == 0 else 0
        assert verdict == Verdict(denied, None if retry_ms is None else retry_ms * 1000)


async def test_all_players_and_producers_of_the_largest_transaction(client: Redis) -> None:
    with pytest.raises(ValidationError, match="commit_batch"):
        IngestSettings(commit_batch=1001)
    batch = IngestSettings(commit_batch=1000).commit_batch
    # Four events a request on average, but for the last one.
    events = 4 * batch - 1 + MAX_EVENTS
    groups = [[Charge(f"producer:{n % batch}", FIVE), Charge(f"player:{n}", FIVE)] for n in range(events)]
    assert len(await SharedRates(client).take(groups, BEGIN_US)) == events


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories())
def test_it_agrees_with_the_process_and_the_reference(
    server: RedisServer, history: list[tuple[int, Groups]]
) -> None:
    local, reference = LocalRates(10), Buckets()
    with BlockingRedis.from_url(server.url) as blocking:
        blocking.flushall()
        script = blocking.register_script(limits.TAKE)
        for now_us, groups in history:
            keys, arguments = limits.arguments(groups, now_us)
            shared = limits.verdicts(script(keys, arguments) if keys else (), len(groups))
            assert shared == local.take(groups, now_us)
            assert shared == [reference.take(charges, now_us) for charges in groups]


async def test_every_microsecond_counts_at_the_greatest_span(client: Redis) -> None:
    """Where a number as Lua writes it would lose its end."""
    rates, rate = SharedRates(client), Rate(MAX_SPAN_US, 1)
    now_us = BEGIN_US + 123_457
    assert await rates.take([[Charge("k", rate)]], now_us) == [ALLOWED]
    assert await client.get("{ingest}:rate:k") == str(now_us + MAX_SPAN_US).encode()
    assert await rates.take([[Charge("k", rate)]], now_us + 3) == [Verdict(0, MAX_SPAN_US - 3)]


async def test_the_clock_is_that_of_redis(client: Redis) -> None:
    rates = SharedRates(client)
    [first, second] = await rates.take([[Charge("k", Rate(60 * SECOND, 1))]] * 2)
    assert (first, second) == (ALLOWED, Verdict(0, 60 * SECOND))
    seconds, micros = await client.time()
    kept = int(await client.get("{ingest}:rate:k") or 0)
    assert 0 <= seconds * SECOND + micros + 60 * SECOND - kept < 10 * SECOND


async def test_a_key_goes_when_it_says_nothing_more(client: Redis) -> None:
    await SharedRates(client).take([[Charge("k", Rate(10 * SECOND, 5), 2)]], BEGIN_US)
    assert 20_500 < await client.pttl("{ingest}:rate:k") <= 21_000


async def test_a_thousand_events_at_once(client: Redis) -> None:
    producer, player = Rate(SECOND, 900), Rate(SECOND, 1)
    groups = [[Charge("p", producer), Charge(f"p:{at}", player)] for at in range(1000)]
    verdicts = await SharedRates(client).take(groups, BEGIN_US)
    assert verdicts == [ALLOWED] * 900 + [Verdict(0, SECOND)] * 100
    assert await SharedRates(client).take([[], []]) == [ALLOWED, ALLOWED]


async def test_one_process_goes_on_alone_while_redis_is_away(
    server: RedisServer, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1000.0
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)
    rates = Rates(SharedRates(client), LocalRates(10), retry_s=RETRY_S)
    one = [[Charge("k", Rate(3600 * SECOND, 1))]]
    assert await rates.take(one) == [ALLOWED]
    [again] = await rates.take(one)
    assert again.denied == 0
    server.kill()
    try:
        assert await rates.take(one) == [ALLOWED]
        assert not rates.is_shared
        [alone] = await rates.take(one)
        assert alone.denied == 0
    finally:
        server.start()
    now_s += RETRY_S
    assert await rates.take(one) == [ALLOWED]
    assert await client.exists("{ingest}:rate:k")


async def test_redis_is_left_alone_for_a_while(server: RedisServer, client: Redis) -> None:
    rates = Rates(SharedRates(client), LocalRates(10), retry_s=3600)
    server.pause()
    try:
        began = clock.monotonic_s()
        for _ in range(10):
            assert await rates.take([[Charge("k", Rate(SECOND, 100))]]) == [ALLOWED]
        assert clock.monotonic_s() - began < 3
    finally:
        server.resume()
    assert not rates.is_shared
