"""Servers that stop while slates are asked for: no slate is a server error while a model is in memory."""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.serving.faults import Load, frozen, killed, under_load
from tests.serving.world import World, eventually, start_service, world


def test_a_frozen_redis_fails_no_slate_and_is_forgotten_once_it_thaws(shop: World) -> None:
    """It needs no shop of its own: whoever else talks to this Redis waits for it for longer than this takes."""

    def freeze() -> None:
        with frozen(shop, "redis"):
            time.sleep(1.5)

    load = under_load(shop, freeze, 0.5)
    assert set(load.statuses()) == {200}
    assert "profile" in load.missing()
    eventually(lambda: shop.recommend(user_id="c000001")["degraded"], lambda degraded: not degraded)


@pytest.mark.slow
def test_servers_that_are_killed_one_after_the_other_fail_no_slate(tmp_path: Path) -> None:
    missing = {"mlflow": {"registry"}, "kafka": set(), "stream": set(), "redis": {"profile", "catalogue", "trending"}}
    away: set[str] = set()
    with world(tmp_path) as shop:
        for name, more in missing.items():
            load = under_load(shop, partial(killed, shop, name), 4)
            assert set(load.statuses()) == {200}, name
            away |= more
            eventually(lambda: set(shop.recommend(user_id="c000001")["degraded"]), away.__eq__)


@pytest.mark.slow
def test_what_a_worker_does_not_take_on_is_told_to_come_again(tmp_path: Path) -> None:
    with world(tmp_path, streaming=False) as shop:
        url = start_service(replace(shop.settings, most_in_flight=2), shop.children)
        load = Load(url, shop.secret, rate=2_000, threads=24)
        with load.going():
            time.sleep(3)
    assert set(load.statuses()) == {200, 429}
    assert {answer.retry_after for answer in load.answers if answer.status == 429} == {"1"}
