"""Definitions that come as files, by example of rewards."""

from pathlib import Path

import pytest
from arenamesh.gamification.v1 import reward_pb2

from services.chassis.definition_files import read
from services.chassis.errors import InvalidArgument


def named(message: reward_pb2.Reward) -> str:
    return message.id


def test_each_file_is_one_and_may_leave_its_id_to_its_name(tmp_path: Path) -> None:
    assert read(tmp_path / "none", reward_pb2.Reward, named) == {}
    crate, purse = tmp_path / "crate.json", tmp_path / "purse.json"
    purse.write_text("{}")
    crate.write_text('{"id": "chest"}')
    (tmp_path / "README.md").write_text("no definition")
    assert list(read(tmp_path, reward_pb2.Reward, named).items()) == [(crate, "chest"), (purse, "purse")]


@pytest.mark.parametrize("text", ["", "{", '{"no_such_field": 1}', '{"id": "no id"}'])
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "purse.json").write_text(text)
    with pytest.raises(ValueError, match=r"purse\.json: "):
        read(tmp_path, reward_pb2.Reward, named)


def test_what_is_made_of_it_may_be_wrong(tmp_path: Path) -> None:
    def refuses(_message: reward_pb2.Reward) -> str:
        raise InvalidArgument.of("reward.title", "must be better")

    (tmp_path / "purse.json").write_text("{}")
    with pytest.raises(ValueError, match=r"purse\.json: "):
        read(tmp_path, reward_pb2.Reward, refuses)


def test_an_id_is_given_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"id": "purse"}')
    (tmp_path / "b.json").write_text('{"id": "purse"}')
    with pytest.raises(ValueError, match=r"b\.json: there is another reward purse"):
        read(tmp_path, reward_pb2.Reward, named)
