"""A whole small Kindred: embedded parts, a simulated shop, a trained and promoted ALS, and one service process."""

import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from features.kafka.consumer import Consumer, Record
from features.keys import KeyStore
from features.offline import EventLog
from features.online import Client, connect
from features.settings import Settings
from models.registry import Registry
from pipelines.backfill import restore_all, source_name
from pipelines.embedded import parts
from pipelines.imports.job import Report, write_events, write_items
from pipelines.imports.orders import accepted
from pipelines.processes import Child, Children
from pipelines.promotion import Promotion, promote
from pipelines.services import is_ready, serve_command, stream_command
from pipelines.simulate import Shop, catalogue, events
from pipelines.training import train_models
from tests.mlflow_server import free_port

EVENTS = 5_000
START_S = 90.0
SEEDS = itertools.count()  # the same seed again would find the version that there is
HOLDOUT_MS = 30 * 86_400_000

Json = dict[str, Any]
T = TypeVar("T")


@dataclass
class Topic:
    """Everything that a topic holds, read as it comes."""

    consumer: Consumer
    records: list[Record] = field(default_factory=list)

    def find(self, wanted: Callable[[Json], bool]) -> tuple[Json, Record]:
        """The first record whose JSON is wanted, and that JSON; waits for it."""
        return eventually(lambda: self._look(wanted), bool)[0]

    def all(self, wanted: Callable[[Json], bool]) -> list[Json]:
        """The JSON of every wanted record that has come so far."""
        return [value for value, _ in self._look(wanted)]

    def _look(self, wanted: Callable[[Json], bool]) -> list[tuple[Json, Record]]:
        self.records += self.consumer.poll_batch(10_000, 0.05)
        found = ((json.loads(record.value or b"null"), record) for record in self.records)
        return [(value, record) for value, record in found if isinstance(value, dict) and wanted(value)]


@dataclass
class World:
    """The running parts and how to talk to them; `items` is the catalogue as it stands, by item_id."""

    settings: Settings
    children: Children
    redis: Client
    client: httpx.Client
    secret: str
    write: str
    items: dict[str, Json]

    @property
    def keys(self) -> KeyStore:
        """The keys that the service reads."""
        return KeyStore(self.settings.data)

    def post(self, path: str, body: object, key: str | None = None, **headers: str) -> httpx.Response:
        """A call with the secret key, or with another one."""
        return self.client.post(path, json=body, headers=bearer(key or self.secret) | headers)

    def recommend(self, **body: object) -> Json:
        """A slate; anything but 200 fails."""
        return ok(self.post("/recommend", body))

    def track(self, **event: object) -> str:
        """One event, taken; returns its messageId."""
        message_id = uuid.uuid4().hex
        assert ok(self.post("/v1/track", {"messageId": message_id, **event})) == {"success": True}
        return message_id

    def view(self, user_id: str, item_id: str, name: str = "Product Viewed") -> str:
        """A customer does something with one item; returns the messageId."""
        return self.track(userId=user_id, event=name, properties={"product_id": item_id})

    def order(self, user_id: str, item_id: str) -> str:
        """A customer buys one item; returns the messageId."""
        line = {"product_id": item_id, "price": 5, "quantity": 1}
        order = {"order_id": uuid.uuid4().hex, "currency": "GBP", "products": [line]}
        return self.track(userId=user_id, event="Order Completed", properties=order)

    def upsert(self, **item: Any) -> None:
        """One item into the catalogue; returns once slates show it, or no longer do."""
        assert ok(self.post("/v1/items", {"items": [item]})) == {"success": True, "items": 1}
        wanted = {"history": [], "n": 100, "filter": {"category": [item["category"]]}}
        shown = item.get("in_stock", True)
        eventually(lambda: item["item_id"] in ids(self.recommend(**wanted)), lambda found: found == shown)
        self.items[item["item_id"]] = item

    def child(self, name: str) -> Child:
        """The running process of a name."""
        return next(child for child in self.children.running if child.name == name)

    def stop(self, name: str) -> None:
        """Ends one process."""
        child = self.child(name)
        assert child.process.stdin is not None
        child.process.stdin.close()
        child.process.wait(20)
        self.children.running.remove(child)


@contextmanager
def world(
    data: Path,
    streaming: bool = True,
    trained: bool = True,
    demo: bool = True,
    workers: int = 1,
    given: Settings | None = None,
) -> Iterator[World]:
    """Everything, on free ports, gone when the block ends."""
    children = Children(data / "logs")
    own = given or Settings(data=data, demo=demo, exploration=0.0)  # a slate is then what a test can say it is
    with parts(own, "redis", "kafka", "mlflow", children=children) as settings:
        client = connect(settings.redis)
        items = fill(settings, client)
        if trained:
            assert promoted(settings, train(settings), force=True).promoted  # one gate is speed, and machines are busy
        keys = KeyStore(data)
        secret = keys.issue("secret", ("track", "recommend", "items"), "test", now())[1]
        write = keys.issue("write", ("track", "recommend"), "test", now())[1]
        if streaming:
            children.start("stream", *stream_command(settings))
        with httpx.Client(base_url=start_service(settings, children, workers), timeout=30) as caller:
            yield World(settings, children, client, caller, secret, write, items)
        client.close()


def start_service(settings: Settings, children: Children, workers: int = 1) -> str:
    """A service process that is ready; returns its address."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    service = children.start("service", *serve_command(settings, "127.0.0.1", port, workers))
    children.wait_until(service, lambda: is_ready(url), START_S)
    return url


def fill(settings: Settings, client: Client) -> dict[str, Json]:
    """A simulated shop in log and Redis; returns its catalogue."""
    shop = Shop(events=EVENTS, until=now(), seed=0)
    rows = list(catalogue(shop))
    write_items(settings, iter(rows), now(), Report(), lambda: None)
    log = EventLog(settings.data)
    past = (accepted(raw, now()) for raw in events(shop))
    write_events(log, source_name("import", "simulated", 1), past, Report(), lambda: None)
    restore_all(client, settings.data, settings.buckets)
    return {row["item_id"]: row for row in rows}


def train(settings: Settings) -> str:
    """A new version of als; returns its number."""
    (made,) = train_models(settings, ["als"], (None, None), HOLDOUT_MS, next(SEEDS), lambda *_: None)
    return made.version


def promoted(settings: Settings, version: str, force: bool = False) -> Promotion:
    """The version of als becomes champion where its gates allow that, or by force."""
    with Registry(settings.mlflow) as registry:
        return promote(registry, "als", version, force, "test", now(), settings.data / "models")


def bearer(token: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"Authorization": f"Bearer {token}"}


def any_item(shop: World) -> Json:
    """Some item in stock."""
    return next(item for item in shop.items.values() if item.get("in_stock", True) and item.get("price"))


def ids(slate: Json) -> list[str]:
    """The items of a slate, best first."""
    return [entry["item_id"] for entry in slate["items"]]


def ok(response: httpx.Response) -> Json:
    """The body of a 200."""
    assert response.status_code == 200, response.text
    body: Json = response.json()
    return body


def error(response: httpx.Response, status: int, field: str | None = None) -> str:
    """The message of an error, which has the shape of the contract and names the field."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "field"}
    assert body["error"]["field"] == field
    assert "Traceback" not in response.text
    return str(body["error"]["message"])


def eventually(look: Callable[[], T], enough: Callable[[T], object], timeout_s: float = 30.0) -> T:
    """What `look` finds once that is enough; fails when it never is."""
    until = time.monotonic() + timeout_s
    while not enough(found := look()):
        assert time.monotonic() < until, f"still {found!r} after {timeout_s:g} s"
        time.sleep(0.02)
    return found


def now() -> int:
    """Milliseconds UTC."""
    return time.time_ns() // 1_000_000
