"""The checks of a commit are what keeps states right: the same interleavings go wrong without them."""

import json
import random
from collections.abc import Callable

import pytest

from features.errors import Fenced, Rewound
from features.online import state
from tests.pipelines.stream_world import World
from tests.pipelines.traffic import BASE, iso, viewed

CHECKS = (
    "if have[1] ~= ARGV[2] then return {'fenced', '0'} end\n",
    "if (have[3] or '0') ~= ARGV[4] then return {'rewound', have[3] or '0'} end\n",
    "if (have[2] or '0') ~= ARGV[3] then return {'changed', '0'} end\n",
)
PLACES = [("events", partition) for partition in range(16)] + [("events.rekey", partition) for partition in range(16)]


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits that compare nothing, and reads that don't see that another has followed."""
    script = state._COMMIT
    for check in CHECKS:
        assert check in script
        script = script.replace(check, "")
    monkeypatch.setattr(state, "_COMMIT", script.replace("redis.call('XADD'", "redis.pcall('XADD'"))
    read = state.StateStore.read

    def blind(store: state.StateStore, *args: object) -> object:
        epochs, store.epochs = store.epochs, {}
        try:
            return read(store, *args)  # type: ignore[arg-type]
        finally:
            store.epochs = epochs

    monkeypatch.setattr(state.StateStore, "read", blind)


def soak(world: World, rounds: int) -> int:
    """A worker that another overtakes in the midst of its batch, again and again; returns how often one was refused.

    Hours pass between events, so that the memory for duplicates doesn't make up for what is taken twice.
    """
    rng, refused = random.Random(rounds), 0
    for number in range(rounds):
        for hour in range(150 * number, 150 * (number + 1)):
            time = iso(BASE + hour * 3_600_000)
            message = viewed(f"c{hour % 5}", f"i{hour % 30}", f"m{hour}", timestamp=time, receivedAt=time)
            world.send_raw(json.dumps(message).encode(), b"c%d" % (hour % 5))
        world.producer.flush()
        overtaken = world.processor(once(rng.choice(["folded", "logged", "stubbed"]), lambda: world.pump(batch=200)))
        starts = overtaken.assign(PLACES)
        for topic in ("events", "events.rekey"):
            records = world.records(topic, {place[1]: start for place, start in starts.items() if place[0] == topic})
            try:
                for at in range(0, len(records), 50):
                    overtaken.process(records[at : at + 50])
            except (Fenced, Rewound):
                refused += 1
    world.pump()
    return refused


def once(step: str, then: Callable[[], object]) -> Callable[[str], None]:
    left = [step]

    def told(name: str) -> None:
        if name in left:
            left.remove(name)
            then()

    return told


def test_workers_that_overtake_each_other_leave_what_a_clean_pass_gives(world: World) -> None:
    assert soak(world, rounds=4) >= 4
    world.assert_exact()


@pytest.mark.usefixtures("unchecked")
def test_without_the_checks_the_same_leaves_wrong_states(world: World) -> None:
    assert soak(world, rounds=4) == 0
    with pytest.raises(AssertionError, match="states are wrong"):
        world.assert_exact()
