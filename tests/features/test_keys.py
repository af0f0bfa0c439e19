"""Keys of callers: issued once, kept as hashes, gone at once when revoked."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.errors import BadInput, BadSetting
from features.keys import KeyStore


def test_a_key_is_found_by_its_token_and_by_nothing_else(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    key, token = store.issue("write", ("track", "recommend"), "shop", now=5)
    assert token.startswith("wk_")
    assert store.find(token) == key
    assert (key.kind, key.scopes, key.label, key.created_at) == ("write", ("track", "recommend"), "shop", 5)
    for wrong in ("", token[:-1], token + "x", key.hash, "sk_" + token[3:], "\ud800"):
        assert store.find(wrong) is None


def test_the_token_is_nowhere_in_the_file_and_only_the_owner_may_read_it(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    _, token = store.issue("secret", ("items",), "feed", now=5)
    assert token.startswith("sk_")
    assert token.encode() not in store.path.read_bytes()
    assert token[3:].encode() not in store.path.read_bytes()
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_a_key_revoked_by_another_process_stops_working_at_once(tmp_path: Path) -> None:
    ours, theirs = KeyStore(tmp_path), KeyStore(tmp_path)
    for number in range(20):
        key, token = theirs.issue("write", ("track",), str(number), now=number)
        assert ours.find(token) == key
        theirs.revoke(key.id)
        assert ours.find(token) is None


def test_keys_are_listed_oldest_first(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    for now in (3, 1, 2):
        store.issue("write", ("track",), str(now), now)
    assert [key.label for key in store.keys()] == ["1", "2", "3"]  # noqa: SIM118


def test_no_keys_is_no_error(tmp_path: Path) -> None:
    assert KeyStore(tmp_path / "nowhere").keys() == []
    assert KeyStore(tmp_path / "nowhere").find("wk_x") is None


def test_keys_issued_at_the_same_moment_are_all_kept(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: KeyStore(tmp_path).issue("write", ("track",), str(n), n), range(40)))
    assert {key.id for key in KeyStore(tmp_path).keys()} == {key.id for key, _ in made}  # noqa: SIM118


def test_what_a_key_cannot_have_is_refused(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    with pytest.raises(BadInput, match="no scope 'everything'; known ones: track, recommend, items, debug"):
        store.issue("secret", ("everything",), "", 0)
    with pytest.raises(BadInput, match="a write key is public"):
        store.issue("write", ("items",), "", 0)
    with pytest.raises(BadInput, match="no key 'x'"):
        store.revoke("x")
    assert not store.path.exists()


@pytest.mark.parametrize("content", [b"{", b"\xff", b'[{"id": 1}]'])
def test_a_broken_key_file_is_named_and_not_taken_for_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys.json").write_bytes(content)
    with pytest.raises(BadSetting, match=r"keys\.json"):
        KeyStore(tmp_path).find("wk_x")


def test_a_write_key_may_be_for_the_pages_of_some_sites_only(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    _, token = store.issue("write", ("track",), "shop", 0, ("https://shop.example", "http://127.0.0.1:8000"))
    found = KeyStore(tmp_path).find(token)
    assert found is not None
    assert found.origins == ("https://shop.example", "http://127.0.0.1:8000")
    for wrong in ("shop.example", "https://shop.example/", "https://Shop.example", "null", "https://a b", "*"):
        with pytest.raises(BadInput, match="no origin"):
            store.issue("write", ("track",), "shop", 0, (wrong,))
    with pytest.raises(BadInput, match="for servers"):
        store.issue("secret", ("track",), "server", 0, ("https://shop.example",))
