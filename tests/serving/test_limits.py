"""What a worker doesn't take on is said at once, and slates and events don't take each other's place."""

import pytest

from features.errors import Overloaded
from serving.handlers import ROUTES
from serving.limits import InFlight, in_flight

PATHS = [path for _, path in ROUTES]


def test_as_many_as_the_limit_are_taken_and_one_more_is_refused() -> None:
    flight = InFlight(2)
    with flight, flight:
        with pytest.raises(Overloaded, match="come again"), flight:
            pytest.fail("it was taken")
        assert flight.now == 2
    assert flight.now == 0


def test_one_that_fails_gives_its_place_back() -> None:
    flight = InFlight(1)
    with pytest.raises(ZeroDivisionError), flight:
        raise ZeroDivisionError
    with flight:
        assert flight.now == 1


def test_slates_share_one_count_events_another_and_readiness_has_none() -> None:
    counts = in_flight(PATHS, 5)
    assert counts["/recommend"] is counts["/similar"]
    assert counts["/v1/track"] is counts["/v1/batch"] is counts["/v1/items"]
    assert counts["/recommend"] is not counts["/v1/track"]
    assert not {"/readyz", "/metrics"} & set(counts)
    assert {each.most for each in counts.values()} == {5}
