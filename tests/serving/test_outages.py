"""The service while parts of it are away: it answers from memory, and says what is missing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from features.errors import Unavailable
from features.keys import KeyStore
from features.online import check, connect
from features.online.server import start_command
from features.settings import Settings
from models.registry import CHAMPION, Registry
from pipelines.processes import Children
from pipelines.services import is_ready, serve_command
from tests.mlflow_server import free_port
from tests.serving.world import World, bearer, error, eventually, fill, ids, now, ok, promoted, train, world

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[World]:
    """A shop of the test's own, to break."""
    with world(tmp_path) as running:
        yield running


def start_redis(settings: Settings, children: Children) -> None:
    """At the address of the settings, with what it held before."""
    folder = settings.data / "redis"
    folder.mkdir(exist_ok=True)
    port = urlsplit(settings.redis).port
    assert port is not None
    children.start("redis", start_command(folder, port), {})
    eventually(lambda: up(settings.redis), bool)


def up(url: str) -> bool:
    """Whether a Redis answers."""
    try:
        return bool(check(url))
    except Unavailable:
        return False


def test_without_redis_kafka_and_registry_slates_still_come(shop: World) -> None:
    asked: dict[str, Any] = {"user_id": "c000001", "n": 5}
    whole = shop.recommend(**asked)
    assert whole["degraded"] == []
    shop.stop("mlflow")
    said = eventually(lambda: shop.recommend(**asked), lambda slate: slate["degraded"])
    assert said["degraded"] == ["registry"]
    assert ids(said) == ids(whole)

    shop.stop("kafka")
    refused = shop.post("/v1/track", {"userId": "u", "event": "Product Viewed", "properties": {"product_id": "x"}})
    assert error(refused, 503)
    assert int(refused.headers["retry-after"]) > 0
    assert len(shop.recommend(**asked)["items"]) == 5

    shop.stop("stream")
    shop.stop("redis")
    said = eventually(lambda: shop.recommend(**asked), lambda slate: len(slate["degraded"]) == 4)
    assert sorted(said["degraded"]) == ["catalogue", "profile", "registry", "trending"]
    assert len(said["items"]) == 5
    assert len(shop.recommend(history=[{"item_id": ids(whole)[0]}])["items"]) == 10
    assert shop.client.get("/readyz").status_code == 200
    assert error(shop.client.get("/demo/customers", headers=bearer(shop.secret)), 503)

    start_redis(shop.settings, shop.children)
    back = eventually(lambda: shop.recommend(**asked), lambda slate: slate["degraded"] == ["registry"])
    assert back["as_of"] == whole["as_of"]


def test_a_broken_champion_is_refused_and_the_old_one_goes_on(shop: World) -> None:
    second = train(shop.settings)
    files = (shop.settings.data / "mlflow" / "artifacts").rglob("arrays.npz")
    newest = max(files, key=lambda file: file.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    with Registry(shop.settings.mlflow) as registry:
        registry.set_alias("als", CHAMPION, second)
    eventually(shop.child("service").log.read_text, lambda text: f"refused als version {second}" in text)
    assert shop.recommend(history=[])["model"]["version"] == "1"
    assert shop.client.get("/readyz").status_code == 200
    third = train(shop.settings)
    assert promoted(shop.settings, third).promoted
    eventually(lambda: shop.recommend(history=[])["model"]["version"], lambda version: version == third)


def test_without_any_champion_slates_are_trending_until_there_is_one(tmp_path: Path) -> None:
    with world(tmp_path, streaming=False, trained=False, demo=False) as shop:
        assert shop.client.get("/readyz").status_code == 200
        assert error(shop.client.post("/recommend", json={"history": []}), 401)
        for path in ("/", "/demo/customers", "/index.html"):
            assert error(shop.client.get(path, headers=bearer(shop.secret)), 404)
        slate = shop.recommend(history=[{"item_id": "sku-00001"}])
        assert slate["model"] is None
        assert slate["degraded"] == ["model"]
        assert {entry["source"] for entry in slate["items"]} == {"trending"}
        promoted(shop.settings, train(shop.settings))
        eventually(lambda: shop.recommend(history=[])["degraded"], lambda degraded: not degraded)


def test_it_starts_while_every_server_is_away_and_finds_them_once_they_are_there(tmp_path: Path) -> None:
    kafka, redis, mlflow, port = (free_port() for _ in range(4))
    redis_url, mlflow_url = f"redis://127.0.0.1:{redis}", f"http://127.0.0.1:{mlflow}"
    settings = Settings(data=tmp_path, kafka=f"127.0.0.1:{kafka}", redis=redis_url, mlflow=mlflow_url)
    children = Children(tmp_path / "logs")
    url = f"http://127.0.0.1:{port}"
    _, token = KeyStore(tmp_path).issue("secret", ("recommend",), "test", now())
    ask: dict[str, Any] = {"url": f"{url}/recommend", "json": {"user_id": "u"}, "headers": bearer(token), "timeout": 30}
    try:
        service = children.start("service", *serve_command(settings, "127.0.0.1", port, workers=1))
        children.wait_until(service, lambda: is_ready(url), 90)
        slate = ok(httpx.post(**ask))
        assert slate["items"] == []
        assert sorted(slate["degraded"]) == ["catalogue", "model", "profile", "registry", "trending"]
        start_redis(settings, children)
        fill(settings, connect(settings.redis))
        found = eventually(lambda: ok(httpx.post(**ask)), lambda slate: len(slate["items"]) == 10)
        eventually(lambda: ok(httpx.post(**ask))["degraded"], lambda degraded: degraded == ["model", "registry"])
        assert found["model"] is None
    finally:
        children.stop()
