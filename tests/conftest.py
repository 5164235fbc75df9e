"""Settings of the whole suite."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# `full` is what CI runs; `quick` is for the edit-and-try loop: HYPOTHESIS_PROFILE=quick scripts/test
for profile, cases in {"full": 10_000, "quick": 200}.items():
    settings.register_profile(
        profile,
        max_examples=cases,
        deadline=None,
        derandomize=True,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "full"))
