"""The README's examples do what they say, as printed."""

from __future__ import annotations

import json
import os
import re
import subprocess
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


def run(mesh: Supervisor, script: str) -> list[Any]:
    """What the lines it prints say."""
    result = subprocess.run(
        ["bash", "-c", SUCCEEDS + script.replace("http://localhost:8080", mesh.url)],
        cwd=ROOT,
        env=os.environ | {"JWT_SECRET": SECRET},
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
    # create, the state that ada stands in, and the list of verdicts are taken apart by the script
    assert len(answers) == script.count("curl -s") - 3
    assert [answer["verified"] for answer in answers if "verified" in answer] == [True]
    assert [answer for answer in answers if "explanation" in answer], answers
    assert answers[-1]["session"]["status"] == "SESSION_STATUS_ENDED"


def test_every_curl_example_of_progression_works_and_is_refused_as_it_says(mesh: Supervisor) -> None:
    works, refused = examples("Progression, with curl")
    answers = run(mesh, works + REFUSED + refused)
    done = works.count("curl -s ")
    (awarded,) = answers[0]["results"]
    assert awarded["awarded"]["experience"] == "300000"
    assert answers[done - 1]["events"][0]["prestige_reset"]["number"] == "1"
    expected = re.findall(r"# (\d{3}) ([A-Z_]+)$", refused, re.MULTILINE)
    assert len(expected) == refused.count("curl -s ") == 6
    bodies, statuses = answers[done::2], answers[done + 1 :: 2]
    found = [(str(status), reason_of(body)) for status, body in zip(statuses, bodies, strict=True)]
    assert found == expected
