"""The README's examples do what they say, as printed."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from typing import Any

from services.mesh.settings import ROOT
from tests.e2e.conftest import reason_of
from tests.support.mesh import SECRET, Supervisor

# Each curl answers on a line of its own, and an error status ends the script.
SUCCEEDS = 'set -euo pipefail\ncurl() { command curl --fail-with-body --show-error -w "\\n" "$@"; }\n'
# And likewise its status on the next one, whatever it is.
REFUSED = 'curl() { command curl --show-error -w "\\n%{http_code}\\n" "$@"; }\n'


def examples(heading: str) -> list[str]:
    """The blocks of one section."""
    section = (ROOT / "README.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```bash\n(.*?)```", section, re.DOTALL)


def run(mesh: Supervisor, script: str, environment: Mapping[str, str] = os.environ) -> list[Any]:
    """What the lines it prints say."""
    result = subprocess.run(
        ["bash", "-c", SUCCEEDS + script.replace("http://localhost:8080", mesh.url)],
        cwd=ROOT,
        env={**environment, "JWT_SECRET": SECRET},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return [json.loads(line) for line in result.stdout.splitlines() if line.strip()]


def test_every_curl_example_of_combat_works(mesh: Supervisor) -> None:
    (script,) = examples("REST, with curl")
    answers = run(mesh, script)
    verdicts = [answer["verdict"]["outcome"] for answer in answers if "verdict" in answer]
    assert verdicts == ["OUTCOME_ACCEPTED"] * 4, answers
    frames = [answer for answer in answers if "frame" in answer]
    assert [answer["frame"]["tick"] for answer in frames] == [1, 2, 3]
    # create, the state that ada stands in, and the list of verdicts are taken apart by the script
    assert len(answers) - len(frames) + 1 == script.count("curl -s") - 3
    assert [answer["verified"] for answer in answers if "verified" in answer] == [True]
    assert [answer for answer in answers if "explanation" in answer], answers
    assert answers[-1]["session"]["status"] == "SESSION_STATUS_ENDED"


def test_every_curl_example_of_progression_works_and_is_refused_as_it_says(mesh: Supervisor) -> None:
    works, refused = examples("Progression, with curl")
    answers = run(mesh, works + REFUSED + refused)
    done = works.count("curl -s")
    (awarded,) = answers[0]["results"]
    assert awarded["awarded"]["experience"] == "300000"
    # The watch, which nothing follows, ends the block: how the character stands.
    assert answers[done - 2]["events"][0]["prestige_reset"]["number"] == "1"
    assert answers[done - 1]["progress"]["prestige"]["resets"] == "1"
    refused_as_it_says(refused, answers[done:])


def test_every_curl_example_of_gamification_works_and_is_refused_as_it_says(mesh: Supervisor) -> None:
    works, refused = examples("Gamification, with curl")
    answers = run(mesh, works + REFUSED + refused)
    # Two lines for each of those.
    answers, refusals = answers[: -2 * refused.count("curl -s ")], answers[-2 * refused.count("curl -s ") :]
    refused_as_it_says(refused, refusals)
    told = [answer["event"] for answer in answers if "event" in answer]
    assert "Achievement Unlocked: A hat trick" in [event["title"] for event in told]
    assert "REWARD_GRANTED" in [event["type"] for event in told]
    (verified,) = [answer for answer in answers if "valid" in answer]
    (checked,) = [answer["checked"] for answer in answers if "checked" in answer]
    assert verified["valid"]
    assert checked["jti"] == verified["claims"]["grant_id"]
    (wallet,) = [answer["balances"] for answer in answers if "balances" in answer]
    assert {"currency": "gold", "amount": "100"} in wallet
    (analytics,) = [answer for answer in answers if "quests" in answer and "players" in answer]
    assert [(quest["started"], quest["completed"]) for quest in analytics["quests"]] == [("1", "1")]


def test_every_curl_example_of_liveops_works_and_is_refused_as_it_says(
    mesh: Supervisor, tools: dict[str, str]
) -> None:
    # The first block is a published example, which test_liveops.py runs as it is.
    _, works, refused = examples("LiveOps, with curl")
    answers = run(mesh, works + REFUSED + refused, tools)
    answers, refusals = answers[: -2 * refused.count("curl -s ")], answers[-2 * refused.count("curl -s ") :]
    refused_as_it_says(refused, refusals)
    assert len(answers) >= works.count("curl -s")
    assert not answers[0]["duplicate"]
    assert {each["outcome"] for each in answers[1]["results"]} == {"EVENT_OUTCOME_ACCEPTED"}
    assert answers[5]["outcomes"][1] == "SCORE_OUTCOME_COUNTED"
    ranks = {each["player_id"]: int(each["rank"]) for each in answers[6]["entries"]}
    assert ranks["ada"] < ranks["ben"]
    assert answers[7]["period"]["board"] == "kills"
    assert {"ada", "ben"} <= {each["player_id"] for each in answers[8]["entries"]}
    assert [each["player_id"] for each in answers[9]["entries"]] == ["ada", "ben"]
    # The watch, the board, the event, and the board once it has heard of it.
    assert answers[-4]["entries"][0]["rank"] == "1"
    assert answers[-3]["board"]["id"] == answers[-1]["period"]["board"]
    assert [each["score"] for each in answers[-1]["entries"]] == ["4200"]


def test_every_curl_example_of_fairness_works_and_is_refused_as_it_says(
    mesh: Supervisor, tools: dict[str, str]
) -> None:
    works, refused = examples("Fairness, with curl")
    answers = run(mesh, works + REFUSED + refused, tools)
    lines = 2 * len(re.findall(REFUSAL, refused, re.MULTILINE))
    answers, refusals = answers[:-lines], answers[-lines:]
    refused_as_it_says(refused, refusals)
    (flag,) = [answer["flag"] for answer in answers if "evidence" in answer.get("flag", {})]
    assert flag["detector_id"] == "example_gain"
    assert flag["evidence"]["summary"].startswith("9,000 experience")
    (replayed,) = [answer for answer in answers if "intact" in answer]
    assert (replayed["same"], replayed["intact"], replayed["inputs_kept"]) == (True, True, "1")
    standings = [answer["standing"] for answer in answers if "standing" in answer and "flag" not in answer]
    assert [standing["scores_hidden"] for standing in standings] == [True, True, False]
    (decided,) = [answer for answer in answers if "flag" in answer and "standing" in answer]
    assert (decided["flag"]["state"], decided["standing"]["scores_hidden"]) == ("FLAG_STATE_DISMISSED", False)
    (log,) = [answer["entries"] for answer in answers if "entries" in answer]
    assert [line["action"] for line in log][::-1] == [
        "flag.opened",
        "sanction.began",
        "flag.appealed",
        "flag.decided",
        "sanction.ended",
    ]
    assert [line["previous"] for line in log][:-1] == [line["hash"] for line in log][1:]


REFUSAL = r"# (\d{3}) ([A-Z_]+)$"


def refused_as_it_says(script: str, answers: list[Any]) -> None:
    """Each answer, and its status after it, are what the comment beside the call says."""
    expected = re.findall(REFUSAL, script, re.MULTILINE)
    assert len(expected) == 6
    bodies, statuses = answers[::2], answers[1::2]
    found = [(str(status), reason_of(body)) for status, body in zip(statuses, bodies, strict=True)]
    assert found == expected
