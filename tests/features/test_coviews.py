"""Items viewed one right after the other: a function of the events alone, whatever their order and their batches."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.columns import APART, TOGETHER, Events, Text
from features.compiled import coviews, fold, replayed
from features.contributions import Reader
from features.definitions import FEATURES
from features.packing import pack, unpack
from features.states import touches_in
from tests.features import naive
from tests.features.histories import DAY, MINUTE, Happening, T, columns, line, logs

Told = Counter[tuple[str, str, int]]  # the items, the one of the later view first, and its time


def view(item: str, time: int, name: str = "Product Viewed") -> Happening:
    return Happening(name, time, f"{item} {time} {name}", "u:1", lines=(line(item),))


def told(*batches: Sequence[Happening]) -> Told:
    """What a log said when it was folded batch by batch, all changes summed up."""
    states: dict[str, bytes] = {}
    found: Told = Counter()
    for batch in batches:
        events = columns(batch)
        ids = events.customer.values
        old = unpack([states.get(each) for each in ids])
        new = fold(FEATURES, old, events, events.customer.codes.astype(np.int64)).states
        states |= dict(zip(ids, pack(new), strict=True))
        add(found, coviews(old, new).events)
    return Counter({pair: times for pair, times in found.items() if times})


def add(found: Told, events: Events) -> None:
    items = events.line_texts["item"].texts()
    for at, (name, time) in enumerate(zip(events.name.tolist(), events.time.tolist(), strict=True)):
        found[items[2 * at], items[2 * at + 1], time] += 1 if name == TOGETHER else -1


def meant(log: Sequence[Happening]) -> Told:
    found: Told = Counter()
    for customer in {event.customer for event in log}:
        counted = naive.counted([event for event in log if event.customer == customer])
        found.update(naive.viewed_in_turn(counted))
    return found


def test_two_items_are_viewed_together_where_nothing_was_viewed_between() -> None:
    log = [view("a", T), view("b", T + MINUTE), view("b", T + 2 * MINUTE), view("c", T + 3 * MINUTE)]
    assert told(log) == {("b", "a", T + MINUTE): 1, ("c", "b", T + 3 * MINUTE): 1}


def test_a_late_view_between_two_takes_them_apart() -> None:
    first, between, last = view("a", T), view("b", T + MINUTE), view("c", T + 2 * MINUTE)
    assert told([first, last]) == {("c", "a", T + 2 * MINUTE): 1}
    assert told([first, last], [between]) == told([first, between, last])


def test_what_is_no_view_stands_between_no_views_and_a_pause_ends_it() -> None:
    assert told([view("a", T), view("x", T + 1, "Product Added"), view("b", T + 2)]) == {("b", "a", T + 2): 1}
    assert told([view("a", T), view("b", T + 30 * MINUTE - 1)])
    assert not told([view("a", T), view("b", T + 30 * MINUTE)])


def test_a_customer_has_a_say_by_the_newest_touches_that_are_kept() -> None:
    views = [view("ab"[at % 2], T + at) for at in range(naive.TOUCHES + 1)]
    assert sum(told(views).values()) == naive.TOUCHES - 1
    other = [view("x", T + DAY + at, "Product Added") for at in range(naive.TOUCHES - 2)]
    assert told(views, other) == told([*other, *views]) == {("a", "b", T + naive.TOUCHES): 1}


@settings(deadline=None)
@given(log=logs(within_a_day=True, size=60), order=st.randoms(), size=st.sampled_from([1, 7, 60]))
def test_what_they_say_is_a_function_of_the_events(log: list[Happening], order: Random, size: int) -> None:
    once = list({(event.customer, event.message): event for event in reversed(log)}.values())
    shuffled = list(once)
    order.shuffle(shuffled)
    for each in (log, once, shuffled):
        assert told(*(each[at : at + size] for at in range(0, len(each), size))) == meant(each)


def test_touch_by_touch_they_say_the_same() -> None:
    rng = Random(3)
    times = [T + rng.randrange(500) * MINUTE for _ in range(900)]
    wanted = [view(rng.choice("abcd"), at, rng.choice(["Product Viewed", "Product Added"])) for at in times]
    log = [replace(each, customer=f"u:{rng.randrange(3)}", message=f"{at}") for at, each in enumerate(wanted)]
    log.sort(key=lambda event: event.customer)
    events = columns(log)
    touched = touches_in(read := Reader(events), events)
    customer, time = events.customer.codes.astype(np.int64)[touched.event], events.time[touched.event]
    found: Told = Counter()
    made = replayed(customer, time, touched.name, touched.sub, Text(touched.code.astype(np.int32), read.texts))
    add(found, made.events)
    assert Counter({pair: times for pair, times in found.items() if times}) == told(log) == meant(log)
    assert (np.diff(made.owner) >= 0).all()
    assert (made.events.name == APART).sum() > 100
