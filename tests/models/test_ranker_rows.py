"""A row of a candidate, by hand."""

import numpy as np

from models.ranker_rows import AFFINITY, CUSTOMER, ITEM, NAMES, RECENT, Customer, Things, table_of

T = 1_000_000
RECENT_ITEMS = [(T - 1, "a", "Product Added"), (T - 5, "a", "Product Viewed"), (T - 9, "a", "Product Clicked")]
KNOWN = {**dict.fromkeys(CUSTOMER, 2), "median_price_viewed_90d": 400, AFFINITY: {"x": 1.0, "y": 3.0}}
THINGS = Things(
    ["a", "b"], np.arange(2.0 * len(ITEM)).reshape(2, -1), np.array([3.0, np.nan]), np.array([1.0, 0.0]), ["x", ""]
)

NOTHING = Things([], np.zeros((0, len(ITEM))), np.zeros(0), np.zeros(0), [])


def column(name: str, customer: Customer) -> list[float]:
    return [float(value) for value in table_of(customer, THINGS)[:, NAMES.index(name)]]


def test_what_is_known_becomes_a_row_of_each_candidate_in_their_order() -> None:
    customer = Customer(T, KNOWN | {RECENT: RECENT_ITEMS}, "x")
    assert column("base_rank", customer) == [1, 2]
    assert column("views_24h", customer) == [2, 2]
    assert column(ITEM[1], customer) == [1, 1 + len(ITEM)]
    assert column("price_to_usual", customer)[0] == 3 / 4
    assert column(AFFINITY, customer)[0] == 1 / 4
    assert column("category_as_last", customer)[0] == 1
    assert column("times_viewed", customer) == [2, 0]
    assert column("since_viewed", customer)[0] == 5
    assert column("since_added", customer)[0] == 1


def test_what_nobody_knows_is_missing_and_never_nothing() -> None:
    table = table_of(Customer(T, {}), THINGS)
    assert np.isnan(table[:, [NAMES.index(name) for name in (*CUSTOMER, AFFINITY, "price_to_usual")]]).all()
    assert np.isnan(table[1, NAMES.index("category_as_last")])
    assert table[:, NAMES.index("times_viewed")].tolist() == [0, 0]
    assert table_of(Customer(T, {}), NOTHING).shape == (0, len(NAMES))
