"""A request_id says when it was given, and to whoever knows an arm whether that arm gave it."""

import uuid

import pytest

from serving.receipts import answered_at, is_of, request_id

NOW = 1_795_695_097_916


def test_an_id_is_of_the_arm_that_gave_it_and_of_no_other() -> None:
    made = request_id(NOW, uuid.uuid4().hex, "als:8:5/canary|als:8")
    assert is_of(made, "als:8:5/canary|als:8")
    assert not is_of(made, "als:8:6/canary|als:8")
    assert not is_of(made[:-1] + ("0" if made[-1] != "0" else "1"), "als:8:5/canary|als:8")


def test_ids_are_as_long_as_uuids_differ_and_come_in_the_order_of_time() -> None:
    made = [request_id(NOW + at, uuid.uuid4().hex, "/|als:8") for at in range(100)]
    assert len(set(made)) == 100
    assert made == sorted(made)
    assert {len(each) for each in made} == {32}


def test_an_id_says_when_it_was_given() -> None:
    assert answered_at(request_id(NOW, "0" * 13, "")) == NOW


@pytest.mark.parametrize("other", ["", "r1", "ö" * 32, "-" * 32, "0x" + "0" * 30, "1_0" * 10])
def test_an_id_that_is_none_of_ours_was_given_at_no_time(other: str) -> None:
    assert answered_at(other) is None
    assert not is_of(other, "")
