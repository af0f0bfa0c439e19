"""An exposure on the wire."""

from datetime import UTC, datetime

import pytest

from features.errors import BadInput
from features.exposures import Assigned, Exposure, ServedBy, Shown, decode_exposure, encode_exposure, exposure_key
from tests.features.offline.exposure_rows import AT, exposure

WHOLE = Exposure(
    request_id="r",
    timestamp=datetime(2026, 1, 1, tzinfo=UTC),
    user_id="u1",
    anonymous_id="a1",
    placement="home",
    policy="plackett-luce(rate=0.1,top=5)",
    seed=-(2**63),
    eligible=("i1", "i2"),
    slate=(Shown(item_id="i1", position=1, score=0.5, propensity=0.25, source="als"),),
    model=ServedBy(name="als", version="3"),
    experiment=Assigned(key="home-ranker", variant="b"),
    variant="canary",
    as_of=datetime(2025, 12, 31, tzinfo=UTC),
    degraded=("registry",),
)


def test_an_exposure_comes_back_as_it_was() -> None:
    assert decode_exposure(encode_exposure(WHOLE)) == WHOLE


def test_it_lies_where_its_customers_events_lie_and_anywhere_where_nobody_is_named() -> None:
    assert exposure_key(WHOLE) == b"u1"
    assert exposure_key(exposure("r", "i1", anonymous_id="a1")) == b"a1"
    assert exposure_key(exposure("r", "i1", user_id=None)) is None


def test_a_field_that_a_newer_service_adds_is_left_out() -> None:
    assert decode_exposure(encode_exposure(WHOLE)[:-1] + b',"later":{"on":1}}') == WHOLE


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"request_id":"r","slate":[]}',
        encode_exposure(WHOLE).replace(b'"propensity":0.25', b'"propensity":1.25'),
        encode_exposure(WHOLE).replace(b'"position":1', b'"position":0'),
        encode_exposure(WHOLE).replace(b"2026-01-01T00:00:00Z", b"2026-01-01T00:00:00"),
        encode_exposure(WHOLE).replace(b"-9223372036854775808", b"-9223372036854775809"),
        encode_exposure(WHOLE).replace(b"-9223372036854775808", b"9223372036854775808"),
    ],
)
def test_what_is_no_exposure_is_said_to_be_none(wrong: bytes) -> None:
    with pytest.raises(BadInput, match="no exposure"):
        decode_exposure(wrong)


def test_the_helper_of_other_tests_makes_what_it_says() -> None:
    made = exposure("r", "i1", "i2")
    assert [place.position for place in made.slate] == [1, 2]
    assert made.timestamp.timestamp() * 1000 == AT
