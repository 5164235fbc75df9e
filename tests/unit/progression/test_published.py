"""What a published curve or definition says never changes: characters keep their levels by it.

A new version is a new file, and a new line in `golden/published.json`.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "services" / "progression" / "data"
PUBLISHED: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parent / "golden" / "published.json").read_text()
)


def digest(path: Path) -> str:
    """Of what a file says, however it is laid out; `about` is for people."""
    document = json.loads(path.read_text())
    document.pop("about", None)
    return sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("folder", ["curves", "definitions"])
def test_what_is_published_is_never_changed(folder: str) -> None:
    assert {path.stem: digest(path) for path in (DATA / folder).glob("*.json")} == PUBLISHED[folder]
