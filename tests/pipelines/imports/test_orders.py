"""Lines of invoices become orders, in bounded memory and the same way every time."""

from collections.abc import Iterable

import msgspec
import pytest

from features.events import MAX_LINES, OrderProperties
from pipelines.imports import orders
from pipelines.imports.lines import Refused
from pipelines.imports.orders import Accepted, Orders, Part

NOW = 1_900_000_000_000
HOUR = 3_600_000


def _part(number: int, order_id: str = "o1", **given: object) -> Part:
    values: dict[str, object] = {
        "number": number,
        "event": "Order Completed",
        "order_id": order_id,
        "user_id": "u1",
        "anonymous_id": "",
        "time": number * HOUR,
        "currency": "GBP",
        "line": msgspec.json.encode({"product_id": f"i{number}", "price": 1.5, "quantity": 2}),
        "is_charge": False,
        "cents": 300,
        "extras": {},
        "message_id": "",
        "source": b"row %d" % number,
    }
    return Part(**(values | given))  # type: ignore[arg-type]


def _run(parts: Iterable[Part]) -> list[Accepted | Refused]:
    open_orders = Orders(NOW)
    return [made for part in parts for made in open_orders.add(part)] + list(open_orders.rest())


def _message(made: Accepted | Refused) -> dict[str, object]:
    assert isinstance(made, Accepted)
    message: dict[str, object] = msgspec.json.decode(made.raw)
    return message


def test_rows_of_one_order_id_are_one_order_at_the_time_of_its_first_line() -> None:
    other = _part(2, "o2")
    made = _run([_part(1), other, _part(3)])
    assert [_message(one)["timestamp"] for one in made] == ["1970-01-01T02:00:00Z", "1970-01-01T01:00:00Z"]
    first = made[1]
    assert isinstance(first, Accepted)
    assert [line.item_id for line in first.event.lines] == ["i1", "i3"]
    assert first.event.event_time == first.event.received_at == HOUR
    assert first.event.currency == "GBP"
    assert msgspec.json.decode(first.raw)["properties"]["total"] == 6.0


def test_an_order_closes_when_the_look_ahead_has_passed_without_a_line_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "LOOK_AHEAD", 10)
    open_orders = Orders(NOW)
    assert list(open_orders.add(_part(1))) == []
    assert list(open_orders.add(_part(11))) == []  # ten rows after its last line: still open
    assert list(open_orders.add(_part(21, "o2"))) == []
    assert len(list(open_orders.add(_part(22, "o2")))) == 1


def test_what_is_held_open_is_bounded_in_orders_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "MAX_OPEN", 50)
    monkeypatch.setattr(orders, "MAX_HELD", 20_000)
    open_orders = Orders(NOW)
    most_orders = most_bytes = closed = 0
    line = msgspec.json.encode({"product_id": "i", "name": "x" * 470})
    for number in range(1, 3_000):
        closed += len(list(open_orders.add(_part(number, f"o{number % 97}", time=HOUR, line=line))))
        most_orders, most_bytes = max(most_orders, open_orders.held[0]), max(most_bytes, open_orders.held[1])
    assert (most_orders, closed > 2_900) == (40, True)  # 20,000 bytes hold 40 lines of 495
    assert 19_000 < most_bytes <= 20_000
    monkeypatch.setattr(orders, "MAX_HELD", 1 << 30)
    for number in range(3_000, 4_000):
        list(open_orders.add(_part(number, f"o{number % 97}", time=HOUR, line=line)))
        assert open_orders.held[0] <= 50
    list(open_orders.rest())
    assert open_orders.held == (0, 0)


def test_an_order_of_too_many_lines_or_bytes_is_refused_whole_with_all_its_rows() -> None:
    most = [_part(number, time=HOUR) for number in range(1, MAX_LINES + 1)]
    (whole,) = _run(most)
    assert isinstance(whole, Accepted)
    assert len(whole.event.lines) == MAX_LINES
    (refused,) = _run([*most, _part(MAX_LINES + 1)])
    assert isinstance(refused, Refused)
    assert (refused.number, refused.rows, refused.reason) == (1, 2_001, "order o1 has more than 2000 lines")
    long = msgspec.json.encode({"product_id": "i", "name": "x" * 1_000})
    (refused,) = _run([_part(number, time=HOUR, line=long) for number in range(1, 300)])
    assert isinstance(refused, Refused)
    assert (refused.rows, "262144 bytes" in refused.reason) == (299, True)


def test_equal_lines_of_an_order_are_two_lines_and_make_another_message_id() -> None:
    twice = _run([_part(1), _part(1)])
    once, again = _run([_part(1)]), _run([_part(1)])
    assert isinstance(twice[0], Accepted)
    assert len(twice[0].event.lines) == 2
    ids = [_message(made[0])["messageId"] for made in (once, again, twice)]
    assert ids[0] == ids[1] != ids[2]


def test_an_order_and_its_refund_and_another_customer_stay_apart() -> None:
    made = _run([_part(1), _part(2, event="Order Refunded"), _part(3, user_id="u2")])
    assert [_message(one)["event"] for one in made] == ["Order Completed", "Order Refunded", "Order Completed"]
    assert len({_message(one)["messageId"] for one in made}) == 3


def test_a_line_in_another_currency_is_refused_and_the_order_goes_on() -> None:
    refused, whole = _run([_part(1), _part(2, currency="EUR"), _part(3)])
    assert isinstance(refused, Refused)
    assert refused.reason == "order o1 is in GBP, this line in EUR"
    assert isinstance(whole, Accepted)
    assert len(whole.event.lines) == 2


def test_charges_count_in_the_total_and_are_no_products() -> None:
    charge = msgspec.json.encode({"code": "POST", "name": "POSTAGE", "price": 3.0, "quantity": 1})
    (alone,) = _run([_part(1, line=charge, is_charge=True)])
    properties = _message(alone)["properties"]
    assert properties == {
        "order_id": "o1",
        "currency": "GBP",
        "total": 3.0,
        "products": [],
        "charges": [{"code": "POST", "name": "POSTAGE", "price": 3.0, "quantity": 1}],
    }


def test_a_row_without_an_order_id_is_an_order_by_itself_and_comes_at_once() -> None:
    open_orders = Orders(NOW)
    (made,) = open_orders.add(_part(1, ""))
    message = _message(made)
    assert isinstance(made, Accepted)
    assert isinstance(made.event.properties, OrderProperties)
    assert made.event.properties.order_id == message["messageId"]


def test_an_order_ahead_of_now_is_refused() -> None:
    (made,) = _run([_part(1, time=NOW + 25 * HOUR)])
    assert isinstance(made, Refused)
    assert made.reason == "timestamp lies more than a day after now"
