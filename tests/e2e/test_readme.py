"""The README's examples do what they say, as printed."""

from __future__ import annotations

import json
import os
import re
import subprocess

from services.mesh.settings import ROOT
from tests.support.mesh import SECRET, Supervisor

# Each curl answers on a line of its own, and an error status ends the script.
AROUND = 'set -euo pipefail\ncurl() { command curl --fail-with-body --show-error -w "\\n" "$@"; }\n'


def test_every_curl_example_works(mesh: Supervisor) -> None:
    examples = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    script = AROUND + "".join(examples).replace("http://localhost:8080", mesh.url)
    result = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=os.environ | {"JWT_SECRET": SECRET},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    answers = [json.loads(line) for line in result.stdout.splitlines() if line.strip()]
    verdicts = [answer["verdict"]["outcome"] for answer in answers if "verdict" in answer]
    assert verdicts == ["OUTCOME_ACCEPTED"] * 4, result.stdout
    # create, the state that ada stands in, and the list of verdicts are taken apart by the script
    assert len(answers) == script.count("curl -s") - 3
    assert [answer["verified"] for answer in answers if "verified" in answer] == [True]
    assert [answer for answer in answers if "explanation" in answer], result.stdout
    assert answers[-1]["session"]["status"] == "SESSION_STATUS_ENDED"
