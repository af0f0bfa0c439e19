"""Generations: a reader is never without one that it can read, and nobody drops the one that it reads."""

import asyncio
import logging

import pytest

from features.errors import BadInput
from features.feature import about, count, ratio, recent
from features.online import Client, connect, connect_async, generations
from features.online.batch import Batch, primaries
from features.online.state import meta_key, prefix_of, state_key
from features.online.tiles import item_key
from features.table import Table, table

VIEW, ADD = "Product Viewed", "Product Added"
OLD = table((count("views_7d", VIEW, "7d"), *about("item", count("item_views_7d", VIEW, "7d"))))
NEW = table(
    (
        count("views_7d", (VIEW, ADD), "7d"),
        count("views_30d", VIEW, "30d"),
        count("previous", VIEW, "7d", description="another name for what is kept already"),
        ratio("trend", "views_7d", "previous"),
        ratio("share", "views_30d", "previous"),
        recent("recent_items", VIEW, 5),
    )
)


def table_read(url: str, own: Table) -> Table:
    async def go() -> Table:
        client = connect_async(url, timeout_s=5)
        try:
            return await generations.live_table(client, own)
        finally:
            await client.aclose()

    return asyncio.run(go())


def keys(client: Client) -> set[str]:
    return {key.decode() for node in primaries(client) for key in node.scan_iter()}


def test_before_any_generation_is_live_readers_use_their_own(redis_url: str) -> None:
    assert generations.live(connect(redis_url)) is None
    assert table_read(redis_url, NEW) is NEW


def test_the_live_one_moves_only_from_the_one_that_was_expected(redis_url: str) -> None:
    client = connect(redis_url)
    assert generations.make_live(client, "aaaaaa", None)
    assert not generations.make_live(client, "bbbbbb", None)
    assert not generations.make_live(client, "bbbbbb", "cccccc")
    assert generations.live(client) == "aaaaaa"
    assert generations.make_live(client, "bbbbbb", "aaaaaa")
    assert generations.live(client) == "bbbbbb"


def test_what_was_announced_is_known_with_what_it_consists_of_and_keeps_its_date(redis_url: str) -> None:
    client = connect(redis_url)
    assert generations.known(client) == {}
    generations.announce(client, OLD)
    first = generations.known(client)
    generations.announce(client, OLD)
    assert generations.known(client) == first
    manifest = first[OLD.generation]
    assert manifest.created > 1_700_000_000_000
    assert manifest.fingerprints == {name: OLD.fingerprint(name) for name in OLD.features}
    assert manifest.series == [repr(series) for series in OLD.series]
    generations.announce(client, NEW)
    assert {*generations.known(client)} == {OLD.generation, NEW.generation}


def test_newer_code_reads_an_older_generation_and_what_that_can_answer_of_its_own_features(redis_url: str) -> None:
    client = connect(redis_url)
    generations.announce(client, OLD)
    generations.make_live(client, OLD.generation, None)
    found = table_read(redis_url, NEW)
    assert (found.generation, found.series) == (OLD.generation, OLD.series)
    assert found.features["views_7d"] == OLD.features["views_7d"]  # what the states hold, not what the code now means
    assert {*found.features} == {"views_7d", "item_views_7d", "previous", "trend", "recent_items"}
    assert table_read(redis_url, OLD) is OLD


def test_a_generation_that_this_code_cannot_read_is_told_of(
    redis_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(redis_url)
    generations.make_live(client, OLD.generation, None)
    with caplog.at_level(logging.WARNING):
        assert table_read(redis_url, NEW) is NEW  # nothing says what it consists of
        generations.announce(client, OLD)
        monkeypatch.setattr(generations, "FORMAT", 99)
        assert table_read(redis_url, NEW) is NEW
    assert [record.args for record in caplog.records] == [(OLD.generation,)] * 2


def test_dropping_a_generation_takes_all_its_keys_and_no_other_ones(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(redis_url)
    monkeypatch.setattr(generations, "AT_ONCE", 7)
    generations.announce(client, OLD)
    generations.announce(client, NEW)
    old = OLD.generation
    batch = Batch(client)
    kept = {f"{{b:1}}:e:u:x:{old}:y", state_key(2, NEW.generation, f"u:{old}:"), meta_key(1, NEW.generation)}
    kept |= {item_key(NEW.generation, f"i:{old}:x"), f"kindred:generation:{NEW.generation}", "{items}:all"}
    gone = {f"{prefix_of(bucket, old)}u:{at}" for bucket in range(4) for at in range(20)} | {item_key(old, "a\nb")}
    for key in (*gone, *(kept - {f"kindred:generation:{NEW.generation}"})):
        batch.add("SET", key, b"x")
    batch.execute()
    assert generations.drop(client, old, 4) == len(gone)
    assert keys(client) == kept
    assert generations.drop(client, old, 4) == 0


def test_the_live_generation_is_never_dropped(redis_url: str) -> None:
    client = connect(redis_url)
    generations.announce(client, OLD)
    client.set(item_key(OLD.generation, "a"), b"x")
    generations.make_live(client, OLD.generation, None)
    before = keys(client)
    with pytest.raises(BadInput, match=f"generation {OLD.generation} is live"):
        generations.drop(client, OLD.generation, 4)
    assert keys(client) == before
