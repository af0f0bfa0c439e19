"""What `kindred models` says of the trials that run, from the counts that services keep in Redis."""

import json
from pathlib import Path
from typing import Any

import pytest

from features.online import TrialCounts, canary_trial, connect, hour_trial, shadow_trial, watch_trial
from features.settings import Settings
from models.registry import Standing
from pipelines.registry_access import Access

AT = 1_767_268_800_000
RECORD = {"version": "7", "previous": "6", "at": AT, "until": AT + 1_800_000}
TAGS = {
    "kindred.canary": json.dumps({"version": "8", "share": 0.1, "at": 5}),
    "kindred.shadow": json.dumps({"version": "9", "share": 0.0, "at": 6}),
    "kindred.champion": json.dumps(RECORD),
}
STANDING = Standing("als", {"champion": "7", "canary": "8", "shadow": "9"}, TAGS)


class OneModel:
    """A registry that holds one model."""

    def standings(self, _names: object) -> dict[str, Standing]:
        return {"als": STANDING}


@pytest.fixture
def access(redis_server: str) -> Access:
    registry: Any = OneModel()
    return Access(Settings(Path(), redis=redis_server), registry)


def test_a_trial_is_told_in_a_line_with_what_was_counted(access: Access) -> None:
    counts = TrialCounts(connect(access.settings.redis))
    canary = {"canary:answers": 10, "canary:errors": 1, "champion:answers": 90, "champion:clicks": 4}
    counts.add(canary_trial("als", "8", 5), canary)
    counts.add(shadow_trial("als", "9", 6), {"shadow:answers": 3, "shadow:items": 60, "shadow:shared": 45})
    counts.add(watch_trial("als", "7", AT), {"answers": 20, "errors": 2})
    counts.add(hour_trial("als", "6", AT), {"answers": 30, "clicks": 1})
    counts.add(hour_trial("als", "6", AT - 3_600_000), {"answers": 10})
    assert access.trials(["als"]) == [
        "canary als 8: canary 10 answers, 1 errors, 0 clicks, 0 orders; "
        "champion 90 answers, 0 errors, 4 clicks, 0 orders",
        "shadow als 9: 3 answers, overlap 0.75, 0 failed",
        "champion als 7, watched until 2026-01-01 12:30 UTC: 20 answers, 2 errors, 0 clicks, 0 orders; "
        "6 before: 40 answers, 0 errors, 1 clicks, 0 orders",
    ]


def test_a_trial_that_nobody_met_has_no_overlap_yet(access: Access) -> None:
    assert access.trials(["als"])[1] == "shadow als 9: 0 answers, overlap unknown, 0 failed"


def test_without_redis_no_trial_is_told(access: Access) -> None:
    assert Access(Settings(Path()), access.registry).trials(["als"]) == []
