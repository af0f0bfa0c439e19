"""Events passed on to a topic whose partitions follow an attribute of customers."""

import json
from pathlib import Path

import pytest

from features.errors import BadInput
from features.kafka.topics import TOPICS, Topic, ensure_topics, partition_of
from features.settings import Settings
from pipelines.align import Aligner
from tests.apache_kafka import ApacheKafka
from tests.pipelines.stream_world import World
from tests.pipelines.traffic import BASE, viewed

TO = "events.by-country"


@pytest.fixture
def aligned(apache_kafka: ApacheKafka, redis_server: str, tmp_path: Path) -> World:
    ensure_topics(apache_kafka.bootstrap, {**TOPICS, TO: Topic(16)})
    return World(Settings(data=tmp_path, kafka=apache_kafka.bootstrap, redis=redis_server))


def test_an_attribute_that_is_no_text_feature_is_refused_and_the_known_ones_are_named(world: World) -> None:
    with pytest.raises(BadInput, match="country"):
        Aligner(world.settings, world.client, world.producer, "views_7d", TO)


def test_all_events_of_a_value_lie_in_one_partition_and_none_is_passed_on_twice(aligned: World) -> None:
    before = len(aligned.records(TO))
    homes = {f"align-{n}": "GB" if n % 2 else "DE" for n in range(10)}
    aligned.send(*(viewed(who, context={"locale": f"en-{home}"}) for who, home in homes.items()))
    aligned.pump()
    aligner = Aligner(aligned.settings, aligned.client, aligned.producer, "country", TO)
    places = [("events", partition) for partition in range(16)]
    for _ in range(2):
        starts = aligner.starts(places)
        records = aligned.records("events", {place[1]: start for place, start in starts.items()})
        aligner.take(records, BASE + 60_000)
    passed = [record for record in aligned.records(TO) if b'"userId": "align-' in (record.value or b"")]
    assert len(aligned.records(TO)) - before >= len(passed)
    found = {json.loads(record.value or b"")["userId"]: (record.key, record.partition) for record in passed}
    assert found == {who: (home.encode(), partition_of(home.encode(), 16)) for who, home in homes.items()}
    assert len(passed) == len(homes)
