"""Who is calling, from headers alone."""

import base64
from pathlib import Path

import pytest

from features.keys import KeyStore
from serving.auth import Caller, Forbidden, ForeignOrigin, Unauthorized, caller

HERE = {"host": "127.0.0.1:3000"}


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path)


def basic(token: str) -> dict[str, str]:
    """A key as Basic user name."""
    return HERE | {"authorization": "Basic " + base64.b64encode(f"{token}:".encode()).decode()}


def test_a_key_is_found_as_bearer_as_basic_user_and_in_the_body(keys: KeyStore) -> None:
    key, token = keys.issue("write", ("track",), "site", 0)
    expected = Caller(key.id, "write", frozenset({"track"}))
    assert caller(keys, HERE | {"authorization": f"Bearer {token}"}, "192.0.2.1", False) == expected
    assert caller(keys, HERE | {"authorization": f"bearer  {token} "}, "192.0.2.1", False) == expected
    assert caller(keys, basic(token), "192.0.2.1", False) == expected
    assert caller(keys, HERE, "192.0.2.1", False, token) == expected


@pytest.mark.parametrize(
    "authorization", ["Bearer sk_unknown", "Basic ???", "Basic /w==", "Basic " + base64.b64encode(b"sk_no:").decode()]
)
def test_an_unknown_or_unreadable_key_is_never_a_local_call(keys: KeyStore, authorization: str) -> None:
    with pytest.raises(Unauthorized):
        caller(keys, HERE | {"authorization": authorization}, "127.0.0.1", True)


def test_a_revoked_key_is_unknown_at_once(keys: KeyStore) -> None:
    key, token = keys.issue("secret", ("recommend",), "server", 0)
    other = KeyStore(keys.path.parent)
    assert caller(other, basic(token), None, False).kind == "secret"
    keys.revoke(key.id)
    with pytest.raises(Unauthorized):
        caller(other, basic(token), None, False)


def test_no_key_is_taken_from_this_machine_in_the_demo_only(keys: KeyStore) -> None:
    assert caller(keys, HERE, "127.0.0.1", True).kind == "local"
    assert caller(keys, {"host": "[::1]:3000"}, "::1", True).kind == "local"
    with pytest.raises(Unauthorized):
        caller(keys, HERE, "127.0.0.1", False)


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        (HERE, "192.0.2.1"),
        (HERE, None),
        ({}, "127.0.0.1"),
        ({"host": "evil.example"}, "127.0.0.1"),
        ({"host": "127.0.0.1.evil.example"}, "127.0.0.1"),
        (HERE | {"origin": "https://evil.example"}, "127.0.0.1"),
        (HERE | {"origin": "null"}, "127.0.0.1"),
        (HERE | {"origin": "http://127.0.0.1:8000"}, "127.0.0.1"),
        (HERE | {"x-forwarded-for": "192.0.2.1"}, "127.0.0.1"),
        (HERE | {"forwarded": "for=192.0.2.1"}, "127.0.0.1"),
        (HERE | {"x-real-ip": "192.0.2.1"}, "127.0.0.1"),
        (HERE | {"via": "1.1 proxy"}, "127.0.0.1"),
    ],
)
def test_a_call_through_a_proxy_or_from_another_site_is_not_local(
    keys: KeyStore, headers: dict[str, str], client: str | None
) -> None:
    with pytest.raises(Unauthorized):
        caller(keys, headers, client, True)


def test_the_page_of_the_service_itself_is_local(keys: KeyStore) -> None:
    assert caller(keys, HERE | {"origin": "http://127.0.0.1:3000"}, "127.0.0.1", True).kind == "local"


def test_a_caller_may_do_what_its_scopes_say() -> None:
    tracker = Caller("k", "secret", frozenset({"track"}))
    tracker.need("track")
    with pytest.raises(Forbidden, match="items"):
        tracker.need("items")


def test_a_write_key_asks_for_no_known_customer() -> None:
    Caller("k", "write", frozenset()).need_access_to(None)
    Caller("k", "secret", frozenset()).need_access_to("u")
    with pytest.raises(Forbidden) as caught:
        Caller("k", "write", frozenset()).need_access_to("u")
    assert caught.value.field == "user_id"


def test_a_key_of_some_sites_is_for_their_pages_and_for_what_is_no_page(keys: KeyStore) -> None:
    _, token = keys.issue("write", ("track",), "site", 0, ("https://shop.example",))
    for allowed in ({}, {"origin": "https://shop.example"}):
        assert caller(keys, basic(token) | allowed, None, False).kind == "write"
    for foreign in ("https://evil.example", "http://shop.example", "https://shop.example:444", "null"):
        with pytest.raises(ForeignOrigin):
            caller(keys, HERE | {"origin": foreign}, None, False, token)
