"""Columns become events: what is taken from where, and what an id and a time may look like."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import BadInput
from features.events import EVENTS
from pipelines.imports.cells import categoriser, read_rules
from pipelines.imports.columns import Mapping, mapping_from, parse_map, presets
from pipelines.imports.interactions import interactions_from
from pipelines.imports.mapping import Made, SetAside, events_from
from pipelines.imports.orders import Accepted
from pipelines.imports.rows import Rows

NOW = 1_900_000_000_000


def _file(folder: Path, text: str, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def _made(path: Path, mapping: Mapping | None = None) -> list[Made]:
    with Rows(path) as rows:
        return list(events_from(rows, mapping or mapping_from(), NOW))


def _messages(path: Path, mapping: Mapping | None = None) -> list[dict[str, Any]]:
    return [json.loads(made.raw) for made in _made(path, mapping) if isinstance(made, Accepted)]


def _reasons(path: Path, mapping: Mapping | None = None) -> list[tuple[int, str]]:
    return [(made.number, made.reason) for made in _made(path, mapping) if not isinstance(made, Accepted)]


def test_columns_named_as_the_targets_are_taken_as_they_are(tmp_path: Path) -> None:
    path = _file(tmp_path, "user,item,event,ts\n7,i1,view,1430623510\n7,i1,BUY,1430623510000\n")
    view, order = _messages(path)
    assert (view["type"], view["event"], view["userId"]) == ("track", "Product Viewed", "7")
    assert view["timestamp"] == view["receivedAt"] == "2015-05-03T03:25:10Z"
    assert view["properties"] == {"product_id": "i1"}
    assert (order["event"], order["timestamp"]) == ("Order Completed", "2015-05-03T03:25:10Z")
    assert order["properties"]["order_id"] == order["messageId"]
    assert order["properties"]["products"] == [{"product_id": "i1"}]


def test_a_map_names_the_columns_and_other_names_become_properties(tmp_path: Path) -> None:
    path = _file(tmp_path, "who,what,when,where,note\nu1,i1,2026-03-01,GB,x\n")
    columns = "user_id=who,product_id=what,timestamp=when,country=where"
    (message,) = _messages(path, mapping_from(columns, event="Product Shared"))
    assert message["event"] == "Product Shared"
    assert message["properties"] == {"product_id": "i1", "country": "GB"}


def test_a_column_that_is_mapped_is_not_taken_again_by_its_name(tmp_path: Path) -> None:
    path = _file(tmp_path, "user,item_id,timestamp\nv1,i1,2026-03-01\n")
    (message,) = _messages(path, mapping_from("anonymous_id=user"))
    assert (message["anonymousId"], "userId" in message) == ("v1", False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("user_id", "'user_id' is none"),
        ("user_id=", "is none"),
        ("=x", "is none"),
        ("user id=x", "can't be a target"),
        ("products=x", "can't be a target"),
        ("item_id=x,product_id=y", "mapped twice"),
    ],
)
def test_a_map_that_cannot_be_meant_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as caught:
        parse_map(text)
    assert caught.value.field == "map"


def test_a_column_that_the_file_lacks_is_named_beside_those_it_has(tmp_path: Path) -> None:
    path = _file(tmp_path, "who,item_id,timestamp\nu1,i1,2026-03-01\n")
    with Rows(path) as rows:
        with pytest.raises(BadInput, match="no column 'whom' for user_id; the file has the columns 'who', 'item_id'"):
            events_from(rows, mapping_from("user_id=whom"), NOW)
        with pytest.raises(BadInput, match="no column for user_id or anonymous_id: name it by --map user_id="):
            events_from(rows, mapping_from(), NOW)


def test_options_that_cannot_be_used_are_told_before_a_file_is_opened(tmp_path: Path) -> None:
    table = _file(tmp_path, "word,category\nx,y\n", "table.csv")
    broken = _file(tmp_path, "currency = 3\n", "own.toml")
    cases: list[tuple[str, dict[str, Any]]] = [
        ("preset", {"preset": "online-retale"}),
        ("preset", {"preset": "../presets/online-retail"}),
        ("preset", {"preset": str(broken)}),
        ("currency", {"currency": "pounds"}),
        ("timezone", {"timezone": "Europe/Londn"}),
        ("timezone", {"timezone": "Europe"}),
        ("item_pattern", {"item_pattern": "("}),
        ("categories", {"categories": table}),
        ("categories", {"categories": tmp_path / "none.csv"}),
    ]
    for option, given in cases:
        with pytest.raises(BadInput) as caught:
            mapping_from(**given)
        assert caught.value.field == option


def test_every_preset_loads_and_options_go_before_it(tmp_path: Path) -> None:
    assert presets() == ("cdnow", "online-retail", "retailrocket")
    for name in presets():
        assert mapping_from(preset=name).columns
    mapping = mapping_from("user_id=Customer", preset="online-retail", currency="eur", timezone="UTC")
    assert (mapping.columns["user_id"], mapping.columns["item_id"]) == ("Customer", "StockCode")
    assert (mapping.currency, mapping.zone.key, mapping.event) == ("EUR", "UTC", "Order Completed")
    own = _file(tmp_path, 'event = "buy"\n[map]\nuser_id = "who"\n', "own.toml")
    assert mapping_from(preset=str(own)).event == "Order Completed"


@pytest.mark.parametrize(
    ("cell", "zone", "expected"),
    [
        ("2026-07-01T12:00:00Z", "Europe/London", "2026-07-01T12:00:00Z"),
        ("2026-07-01T12:00:00+02:00", "Europe/London", "2026-07-01T10:00:00Z"),
        ("2026-07-01 12:00", "Europe/London", "2026-07-01T11:00:00Z"),
        ("2026-07-01", "UTC", "2026-07-01T00:00:00Z"),
        ("20260701", "UTC", "2026-07-01T00:00:00Z"),
        ("1430623510.5", "Europe/London", "2015-05-03T03:25:10.500000Z"),
        ("1430623510250", "UTC", "2015-05-03T03:25:10.250000Z"),
        # 2026-03-29 01:30 isn't on London's clock: GMT's 01:30 is 02:30 by the new one.
        ("2026-03-29 01:30:00", "Europe/London", "2026-03-29T01:30:00Z"),
        # 2026-10-25 01:30 is there twice: the first is British Summer Time.
        ("2026-10-25 01:30:00", "Europe/London", "2026-10-25T00:30:00Z"),
    ],
)
def test_a_time_is_read_in_the_zone_of_the_file(cell: str, zone: str, expected: str, tmp_path: Path) -> None:
    path = _file(tmp_path, f"user_id,item_id,timestamp\nu,i,{cell}\n")
    (message,) = _messages(path, mapping_from(timezone=zone))
    assert message["timestamp"] == expected


def test_a_row_that_makes_no_event_is_refused_with_its_line_and_the_reason(tmp_path: Path) -> None:
    rows = [
        ("u", "i", "12/1/2010 8:26", "1", "1"),
        ("u", "i", "", "1", "1"),
        ("u", "i", "12345", "1", "1"),
        ("u", "i", "1960-01-01", "1", "1"),
        ("u", "i", "2090-01-01", "1", "1"),
        ("u", "i", "2026-01-01", "1,5", "1"),
        ("u", "i", "2026-01-01", "-1", "1"),
        ("u", "i", "2026-01-01", "1", "inf"),
        ("u", "i", "2026-01-01", "1", "0"),
        ("u", "i", "2026-01-01", "1", "-1"),
        ("u", "", "2026-01-01", "1", "1"),
        ("u" * 256, "i", "2026-01-01", "1", "1"),
        ("", "i", "2026-01-01", "1", "1"),
        ("nan", "i", "2026-01-01", "1", "1"),
        ("u", "i", "2026-01-01", "0", "1"),
    ]
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([("user_id", "item_id", "timestamp", "price", "quantity"), *rows])
    made = _made(path)
    reasons = [one.reason if not isinstance(one, Accepted) else "" for one in made]
    wanted = [
        "timestamp '12/1/2010 8:26' is not ISO 8601", "no timestamp", "timestamp '12345' is not", "lies before 1970",
        "more than a day after now", "price '1,5' is not a number", "price -1 is not between", "'inf' is not a finite",
        "quantity 0 is 0", "quantity -1 is negative in Product Viewed", "no item_id", "user_id is longer than 255",
        "no customer", "no customer", "",
    ]  # fmt: skip
    assert [want in reason for want, reason in zip(wanted, reasons, strict=True)] == [True] * len(wanted), reasons
    assert [one.number for one in made if not isinstance(one, Accepted)] == list(range(2, 16))
    assert [type(one) for one in made[12:14]] == [SetAside, SetAside]


def test_an_id_that_became_a_float_is_whole_again(tmp_path: Path) -> None:
    path = _file(tmp_path, "user_id,item_id,timestamp\n17850.0,1.50,2026-01-01\n")
    (message,) = _messages(path)
    assert (message["userId"], message["properties"]["product_id"]) == ("17850", "1.50")
    table = pa.table({"user_id": [17850.0], "item_id": [1 << 40], "timestamp": [1_430_623_510]})
    pq.write_table(table, tmp_path / "rows.parquet")
    (message,) = _messages(tmp_path / "rows.parquet")
    assert (message["userId"], message["properties"]["product_id"]) == ("17850", str(1 << 40))
    assert message["timestamp"] == "2015-05-03T03:25:10Z"


def test_equal_rows_are_one_event_and_importing_twice_changes_nothing(tmp_path: Path) -> None:
    row = "u,i,2026-01-01\n"
    path = _file(tmp_path, "user_id,item_id,timestamp\n" + row + row + "u,j,2026-01-01\n")
    first, second, third = (message["messageId"] for message in _messages(path))
    assert first == second != third
    assert [message["messageId"] for message in _messages(path)] == [first, second, third]
    assert _messages(path, mapping_from(event="cart"))[0]["messageId"] != first


def test_a_negative_quantity_is_a_refund_and_what_is_no_item_is_a_charge(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "order_id,item_id,title,price,quantity,timestamp,user_id\n"
        "o1,85123A,T-LIGHT HOLDER,2.55,6,2026-01-01,u1\n"
        "o1,POST,POSTAGE,18,1,2026-01-01,u1\n"
        "o1,22086,PAPER CHAIN KIT,2.95,-2,2026-01-01,u1\n"
        "o2,POST,POSTAGE,18,1,2026-01-01,u1\n"
        "o3,22086,GIFT,0,1,2026-01-01,\n",
    )
    mapping = mapping_from(currency="GBP", item_pattern=r"\d{5}[A-Z]?")
    bought, refunded, only_charges = _messages(path, mapping)
    assert bought["event"] == "Order Completed"
    assert bought["properties"] == {
        "order_id": "o1",
        "currency": "GBP",
        "total": 33.3,  # 6 * 2.55 + 18
        "products": [{"product_id": "85123A", "name": "T-LIGHT HOLDER", "price": 2.55, "quantity": 6}],
        "charges": [{"code": "POST", "name": "POSTAGE", "price": 18, "quantity": 1}],
    }
    assert (refunded["event"], refunded["properties"]["order_id"]) == ("Order Refunded", "o1")
    assert refunded["properties"]["products"][0]["quantity"] == 2
    assert (only_charges["properties"]["products"], only_charges["properties"]["total"]) == ([], 18.0)
    assert _reasons(path, mapping) == [(6, "no customer")]


def test_a_view_of_what_is_no_item_is_set_aside(tmp_path: Path) -> None:
    path = _file(tmp_path, "user_id,item_id,timestamp\nu,POST,2026-01-01\n")
    assert _reasons(path, mapping_from(item_pattern=r"\d+")) == [(2, "not an item by its id")]


def test_every_named_event_can_be_imported(tmp_path: Path) -> None:
    rows = "".join(f"u,i,2026-01-01,{name},3,red lamp\n" for name in (*EVENTS, "Something Else"))
    path = _file(tmp_path, "user_id,item_id,timestamp,event,position,query\n" + rows)
    made = [message["event"] for message in _messages(path, mapping_from("query=query"))]
    assert Counter(made) == Counter((*EVENTS, "Something Else"))


def test_a_segment_message_passes_as_it_is(tmp_path: Path) -> None:
    sent = {"type": "identify", "userId": "u1", "timestamp": "2026-01-01T00:00:00Z", "traits": {"plan": "a"}}
    kept = {"type": "page", "anonymousId": "a1", "messageId": "m1", "timestamp": "2026-01-01T00:00:00Z"}
    lines = [sent, kept, {"type": "track", "userId": "u1", "event": "X"}, {"type": "track", "timestamp": "2026-01-01"}]
    path = _file(tmp_path, "".join(json.dumps(line) + "\n" for line in lines), "rows.jsonl")
    identify, page = _messages(path)
    assert identify["traits"] == {"plan": "a"}
    assert identify["receivedAt"] == "2026-01-01T00:00:00.000Z"
    assert identify["messageId"] == _messages(path)[0]["messageId"]
    assert page["messageId"] == "m1"
    assert [number for number, _ in _reasons(path)] == [3, 4]


def test_a_category_is_that_of_the_first_keyword_the_title_holds_as_whole_words(tmp_path: Path) -> None:
    table = _file(tmp_path, "keyword,category\nt-light,lighting\nBAG,bags\nLIGHT,lamps\n", "table.csv")
    category = categoriser(read_rules(table))
    titles = ["Light bag", "WHITE HANGING T-LIGHT HOLDER", "BAGPIPE", "night light", ""]
    assert [category(title) for title in titles] == ["bags", "lighting", "other", "lamps", ""]
    path = _file(tmp_path, "user_id,item_id,timestamp,title,category\nu,i,2026-01-01,bag,own\nu,i,2026-01-01,bag,\n")
    made = _messages(path, mapping_from(categories=table))
    assert [message["properties"]["category"] for message in made] == ["own", "bags"]


def test_interactions_keep_the_order_of_the_file_and_every_line(tmp_path: Path) -> None:
    path = _file(tmp_path, "user_id,item_id,position\n2,9,1\n1,9,0\n2,9,1\n,9,0\n")
    with Rows(path) as rows:
        frame = interactions_from(rows, mapping_from())
    assert frame.to_dict("list") == {
        "user_id": ["2", "1", "2"],
        "item_id": ["9", "9", "9"],
        "position": [1.0, 0.0, 1.0],
    }
    assert frame.attrs["left_out"] == {"no customer": 1}
    path = _file(tmp_path, "order_id,user_id,item_id,quantity,timestamp\no,1,9,-2,2026-01-01\no,1,8,1,2026-01-01\n")
    with Rows(path) as rows:
        frame = interactions_from(rows, mapping_from())
    assert list(frame["event"]) == ["Order Refunded", "Order Completed"]
    assert list(frame["quantity"]) == [2.0, 1.0]
    assert frame["timestamp"].dtype == "int64"
