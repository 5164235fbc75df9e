"""What a group remembers of a partition on Kafka, and how a URL says where Kafka is."""

from __future__ import annotations

import ssl

import pytest

from services.chassis.bus.kafka_client import options
from services.chassis.bus.kafka_progress import METADATA_BYTES, Progress
from services.chassis.settings import SettingsError


def committed(progress: Progress, limit: int = METADATA_BYTES) -> Progress:
    """As the next holder finds it."""
    return Progress.parse(progress.needed, progress.metadata(limit))


def test_what_was_read_and_is_not_done_is_remembered() -> None:
    progress = Progress(100)
    for offset in (100, 101, 102, 105):
        progress.hand_out(offset)
    progress.hand_out(101)
    progress.finish([100, 102])
    assert committed(progress) == progress == Progress(106, {101: 2, 105: 1})
    assert progress.needed == 101
    assert [offset for offset in range(99, 109) if progress.wants(offset)] == [101, 105, 106, 107, 108]
    progress.finish([101, 105])
    assert committed(progress) == Progress(106)


def test_what_was_given_back_is_read_again_and_what_a_dead_member_had_is_pending() -> None:
    progress = Progress(0)
    for offset in (0, 1, 2):
        progress.hand_out(offset)
    progress.take_back(1)
    found = committed(progress)
    assert found.pending() == [(0, 1), (2, 1)]
    assert [offset for offset in range(4) if found.unread(offset)] == [1, 3]


def test_what_does_not_fit_is_read_again() -> None:
    progress = Progress(0)
    for offset in range(0, 10_000, 2):
        progress.hand_out(offset)
    assert len(progress.metadata()) <= METADATA_BYTES
    found = committed(progress)
    assert 500 < len(found.open) < 1500
    assert found.read == 2 * len(found.open)  # the first that did not fit, and all after it
    assert committed(progress, 0) == Progress(0)


def test_what_the_log_has_no_longer_is_not_waited_for() -> None:
    progress = Progress(0)
    for offset in (0, 5):
        progress.hand_out(offset)
    progress.skip_to(4)
    assert progress == Progress(6, {5: 1})
    progress.skip_to(9)
    assert progress == Progress(9)


def test_an_operator_may_move_a_group() -> None:
    assert Progress.parse(7, "") == Progress(7)


def test_where_kafka_is() -> None:
    plain = options("kafka://one:9092,two:9092")
    assert plain["bootstrap_servers"] == ["one:9092", "two:9092"]
    assert plain["security_protocol"] == "PLAINTEXT"
    known = options("kafkas://me%40here:p%3Aw@one:9093?mechanism=SCRAM-SHA-512")
    assert known["bootstrap_servers"] == ["one:9093"]
    assert known["security_protocol"] == "SASL_SSL"
    assert (known["sasl_plain_username"], known["sasl_plain_password"]) == ("me@here", "p:w")
    assert known["sasl_mechanism"] == "SCRAM-SHA-512"
    assert isinstance(known["ssl_context"], ssl.SSLContext)


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="BUS_URL"):
        options("nats://one:4222")
