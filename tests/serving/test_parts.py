"""The parts of the service, apart: each answers its own routes, and needs nothing of the other."""

import contextlib
import dataclasses
from pathlib import Path

import httpx
import pytest

from features.settings import PARTS, Settings
from pipelines.processes import Children
from serving.handlers import DEMO, ROUTES, routes_of
from tests.serving.world import World, any_item, bearer, error, eventually, ok, start_service


def paths(*parts: str, demo: bool = False) -> set[str]:
    """The paths that are answered."""
    return {path for _, path in routes_of(Settings(Path(), parts=parts, demo=demo))}


def test_the_parts_together_are_the_whole_service_and_have_only_what_is_about_themselves_in_common() -> None:
    assert paths(*PARTS) == {path for _, path in ROUTES}
    assert paths(*PARTS, demo=True) == {path for _, path in ROUTES | DEMO}
    assert paths("track") | paths("recommend") == paths(*PARTS)
    assert paths("track") & paths("recommend") == {"/readyz", "/metrics"}
    assert {"/v1/track", "/v1/items"} <= paths("track")
    assert {"/recommend", "/rank", "/similar", "/webhooks/mlflow"} <= paths("recommend")
    assert paths("track", demo=True) == paths("track")  # the page is about slates


@pytest.mark.parametrize("part", PARTS)
def test_a_service_of_one_part_answers_that_one_and_is_ready_without_the_other(
    shop: World, part: str, customer: str, tmp_path: Path
) -> None:
    settings = dataclasses.replace(shop.settings, parts=(part,))
    item = any_item(shop)["item_id"]
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(httpx.Client(timeout=30))
        children = Children(tmp_path / "logs")
        stack.callback(children.stop)
        url = start_service(settings, children)
        viewed = {"userId": customer, "event": "Product Viewed", "properties": {"product_id": item}}
        tracked = client.post(f"{url}/v1/track", json=viewed, headers=bearer(shop.secret))
        slate = client.post(f"{url}/recommend", json={"user_id": customer}, headers=bearer(shop.secret))
        if part == "track":
            assert ok(tracked) == {"success": True}
            assert error(slate, 404)
            eventually(lambda: shop.recommend(user_id=customer)["as_of"], bool)
            assert "kindred_events_total" in client.get(f"{url}/metrics").text
        else:
            assert error(tracked, 404)
            assert len(ok(slate)["items"]) == 10
        assert "kindred_swaps_total" in shop.client.get("/metrics").text  # the service beside it keeps its own
