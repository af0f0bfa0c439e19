"""Imports as jobs: the log, the live state, and what a second run or an interrupted one does."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from features.definitions import FEATURES
from features.errors import BadInput, BadSetting
from features.offline import EventLog, ItemLog, interactions, read_items, summary
from features.online import connect, popular
from features.online.catalogue import ALL
from features.online.state import bucket_of_customer, state_key
from features.profiles import Profile
from features.settings import Settings
from pipelines.imports.columns import mapping_from, parse_map
from pipelines.imports.job import Report, import_events, import_items

NOW = 1_790_000_000_000
MAP = "user_id=customer,product_id=sku,timestamp=time"


def quiet(_done: int, _total: int) -> None:
    """No progress bar."""


@pytest.fixture
def settings(redis_server: str, tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", redis=redis_server)


def views(path: Path, first: int, last: int) -> Path:
    """A CSV of views, one a minute; customer u0, u1, u2 in turn."""
    lines = [f"u{n % 3},sku-{n},{1_767_225_600 + 60 * n}" for n in range(first, last)]
    path.write_text("\n".join(["customer,sku,time", *lines]) + "\n")
    return path


def run(settings: Settings, path: Path) -> Report:
    return import_events(settings, connect(settings.redis), path, mapping_from(MAP), NOW, quiet)


def views_of(settings: Settings, customer: str) -> int:
    key = state_key(bucket_of_customer(customer, settings.buckets), FEATURES.generation, customer)
    profile = Profile([connect(settings.redis).get(key)])  # type: ignore[list-item]
    counts: dict[str, int] = profile.features(NOW, ["event_counts"])["event_counts"]
    return counts.get("Product Viewed", 0)


def test_an_import_is_in_the_log_and_in_the_live_profiles(settings: Settings, tmp_path: Path) -> None:
    report = run(settings, views(tmp_path / "views.csv", 0, 300))
    assert (report.accepted, report.known) == (300, 0)
    assert summary(EventLog(settings.data))["events"] == 300
    assert [views_of(settings, f"u:u{n}") for n in range(3)] == [100, 100, 100]


def test_an_import_alone_is_enough_for_items_to_trend(settings: Settings, tmp_path: Path) -> None:
    run(settings, views(tmp_path / "views.csv", 0, 30))
    assert set(popular(connect(settings.redis), settings.buckets, FEATURES)) == {f"sku-{n}" for n in range(30)}


def test_importing_twice_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    path = views(tmp_path / "views.csv", 0, 300)
    run(settings, path)
    again = run(settings, path)
    assert (again.accepted, again.known) == (0, 300)
    assert summary(EventLog(settings.data))["events"] == 300
    assert views_of(settings, "u:u0") == 100


def test_a_longer_export_of_the_same_events_adds_only_what_is_new(settings: Settings, tmp_path: Path) -> None:
    run(settings, views(tmp_path / "monday.csv", 0, 300))
    report = run(settings, views(tmp_path / "tuesday.csv", 0, 360))
    assert (report.accepted, report.known) == (60, 300)
    assert views_of(settings, "u:u0") == 120


def test_an_import_that_broke_off_is_completed_by_the_next_one(settings: Settings, tmp_path: Path) -> None:
    whole = views(tmp_path / "views.csv", 0, 30_000)
    packed = tmp_path / "views.csv.gz"
    packed.write_bytes(gzip.compress(whole.read_bytes())[:-2_000])
    with pytest.raises(BadInput, match="can't be read on after row"):
        run(settings, packed)
    kept = summary(EventLog(settings.data))["events"]
    assert 0 < kept < 30_000
    report = run(settings, whole)
    assert (report.accepted, report.known) == (30_000 - kept, kept)
    assert summary(EventLog(settings.data))["events"] == 30_000
    assert [views_of(settings, f"u:u{n}") for n in range(3)] == [10_000] * 3


def test_an_import_into_an_empty_redis_next_to_a_full_log_fills_redis(settings: Settings, tmp_path: Path) -> None:
    path = views(tmp_path / "views.csv", 0, 300)
    run(settings, path)
    connect(settings.redis).flushall()
    run(settings, path)
    assert views_of(settings, "u:u0") == 100


def test_refused_rows_are_kept_with_their_number_and_reason(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    path.write_text("customer,sku,time\nu1,a,1767225600\nu2,b,yesterday\nu3\n,d,1767225600\n")
    report = run(settings, path)
    assert report.accepted == 1
    assert report.set_aside == {"no customer": 1}
    rejects = [json.loads(line) for line in Path(report.rejects).read_text().splitlines()]
    assert [row["row"] for row in rejects] == [3, 4]
    assert "yesterday" in rejects[0]["raw"]


def test_items_an_import_names_are_in_the_catalogue_and_an_item_file_completes_them(
    settings: Settings, tmp_path: Path
) -> None:
    run(settings, views(tmp_path / "views.csv", 0, 3))
    client = connect(settings.redis)
    assert json.loads(client.hget(ALL, "sku-1"))["incomplete"] is True  # type: ignore[arg-type]
    path = tmp_path / "items.csv"
    path.write_text("id,name,cost\nsku-1,Lantern,3.50\nsku-2,Candle,dear\n")
    columns = parse_map("item_id=id,title=name,price=cost")
    report = import_items(settings, client, path, columns, NOW, quiet)
    assert report.accepted == 1
    assert sum(report.refused.values()) == 1
    assert json.loads(client.hget(ALL, "sku-1")) == {"item_id": "sku-1", "title": "Lantern", "price": 3.5}  # type: ignore[arg-type]
    assert [source.name for source in ItemLog(settings.data).sources()] == ["import.items.p1"]


def test_a_file_of_items_imported_again_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,title,price\na,Lantern,3.50\n")
    client = connect(settings.redis)
    assert import_items(settings, client, path, {}, NOW, quiet).accepted == 1
    again = import_items(settings, client, path, {}, NOW, quiet)
    assert (again.accepted, again.known) == (0, 1)
    assert ItemLog(settings.data).sources()[0].ends() == {0: 1}


def test_another_number_of_buckets_is_refused(settings: Settings, tmp_path: Path) -> None:
    run(settings, views(tmp_path / "monday.csv", 0, 9))
    with pytest.raises(BadSetting, match="64 buckets"):
        run(replace(settings, buckets=32), views(tmp_path / "tuesday.csv", 9, 12))


def test_what_was_imported_is_there_to_train_on(settings: Settings, tmp_path: Path) -> None:
    run(settings, views(tmp_path / "views.csv", 0, 9))
    frame = interactions(EventLog(settings.data))
    assert frame["item_id"].tolist() == [f"sku-{n}" for n in range(9)]
    assert set(frame["event"]) == {"Product Viewed"}


def test_two_item_imports_at_once_lose_nothing(settings: Settings, tmp_path: Path) -> None:
    paths = []
    for name in "abcd":
        paths.append(tmp_path / f"{name}.csv")
        paths[-1].write_text("item_id,title\n" + "".join(f"{name}{n},Lamp\n" for n in range(50)))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: import_items(settings, connect(settings.redis), path, {}, NOW, quiet), paths))
    logged = [row.item_id for rows in read_items(ItemLog(settings.data).sources()[0]) for row in rows]
    assert sorted(logged) == sorted(f"{name}{n}" for name in "abcd" for n in range(50))
