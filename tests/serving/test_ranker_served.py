"""A ranker from the registry: trained on the shop's log, promoted, in every slate, refused where it can't be."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import BadInput
from models.ranker import Ranker
from models.ranker_rows import NAMES
from models.registry import CHAMPION, Registry
from pipelines.promotion import listing, promote
from pipelines.training import train_models
from serving.following.plans import Key
from serving.following.shelf import warm_ranker
from tests.serving.world import Json, World, any_item, bearer, eventually, ids, now, ok
from training import notebook_ranker, runs
from training.notebook_ranker import NotebookRanker


@pytest.fixture(scope="module")
def secret(shop: World) -> str:
    """A key that may see the trace."""
    return shop.keys.issue("secret", ("recommend", "debug"), "trace", now())[1]


@pytest.fixture(scope="module")
def version(shop: World) -> Iterator[str]:
    """A ranker of the shop is champion, and no longer is when the module ends: the shop is everybody's."""
    (made,) = train_models(shop.settings, ["ranker"], (None, None), 20 * 86_400_000, 0, lambda *_: None)
    with Registry(shop.settings.mlflow) as registry:
        promote(registry, "ranker", made.version, True, "test", now(), shop.settings.data / "models")
        yield made.version
        registry.remove_alias("ranker", CHAMPION)


def traced(shop: World, secret: str, **asked: object) -> Json:
    """The answer with its trace."""
    return ok(shop.client.post("/recommend", json={**asked, "debug": True}, headers=bearer(secret)))


def reordered(answer: Json) -> bool:
    """Whether the ranker gave the candidates other scores."""
    stages = answer["debug"]["stages"]
    return bool(stages["ranker"] != stages["candidates"])


def test_a_promoted_ranker_orders_the_slates_of_whoever_has_a_live_profile(
    shop: World, secret: str, version: str, customer: str
) -> None:
    item = any_item(shop)["item_id"]
    for field in ("userId", "anonymousId"):
        shop.track(**{field: customer, "event": "Product Viewed", "properties": {"product_id": item}})
    for field in ("user_id", "anonymous_id"):
        answer = eventually(lambda field=field: traced(shop, secret, **{field: customer}), reordered)  # type: ignore[misc]
        assert answer["degraded"] == []
        assert answer["debug"]["ranker"] == {"name": "ranker", "version": version}
        ranked = answer["debug"]["stages"]["ranker"]
        assert [each["score"] for each in ranked] == sorted((each["score"] for each in ranked), reverse=True)
        assert {each["item_id"] for each in ranked} == {
            each["item_id"] for each in answer["debug"]["stages"]["candidates"]
        }
        assert all(entry["reasons"] for entry in answer["items"])
        assert answer["model"]["name"] == "als"
    listed = ids(shop.recommend(user_id=customer))
    assert item not in listed[:5]


def test_of_a_stateless_client_the_models_order_stays(shop: World, secret: str, version: str) -> None:
    answer = traced(shop, secret, history=[{"item_id": any_item(shop)["item_id"]}])
    assert (reordered(answer), answer["degraded"]) == (False, [])
    assert answer["debug"]["ranker"]["version"] == version


def other_columns(names: tuple[str, ...]) -> Ranker:
    """A ranker of a few requests."""
    random, requests = np.random.default_rng(0), 40
    table = random.random((requests * 5, len(names))).astype(np.float32)
    relevance = np.tile(np.array([1, 0, 0, 0, 0], np.int32), requests)
    return Ranker().fit(table, names, np.full(requests, 5, np.int64), relevance)


def test_a_ranker_that_would_fail_on_requests_is_refused_and_the_one_before_goes_on(
    shop: World, secret: str, version: str, customer: str, tmp_path: Path
) -> None:
    eventually(lambda: traced(shop, secret, user_id=customer), lambda answer: "ranker" in answer["debug"])
    broken = other_columns(("base_rank", "one_column_more"))
    with Registry(shop.settings.mlflow) as registry:
        made = runs.register(shop.settings.mlflow, _registrable(broken), {}, tmp_path / "broken")
        registry.set_alias("ranker", CHAMPION, made.version)
        found = eventually(lambda: listing(registry, ["ranker"])[0], lambda each: each.refusals)
        assert "column" in found.refusals[0].reason
        shop.view(customer, any_item(shop)["item_id"])
        answer = eventually(lambda: traced(shop, secret, user_id=customer), reordered)
        assert (answer["debug"]["ranker"]["version"], answer["degraded"]) == (version, [])
        registry.set_alias("ranker", CHAMPION, version)


def _registrable(ranker: Ranker) -> runs.Registrable:
    example = pd.DataFrame(np.zeros((1, len(ranker.features))), columns=list(ranker.features))
    return runs.Registrable(
        name="ranker", save=ranker.save, params=ranker.params, metrics={}, tags={}, loader=notebook_ranker.__name__,
        example=example, answer=NotebookRanker(ranker).predict(example),
    )  # fmt: skip


def test_a_ranker_is_tried_before_it_is_put_in_place() -> None:
    warm_ranker(Key("ranker", "1"), other_columns(NAMES))
    with pytest.raises(BadInput, match="column"):
        warm_ranker(Key("ranker", "1"), other_columns(("base_rank",)))
