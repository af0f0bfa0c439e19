"""Which topics there are, where a key belongs, and which log a position belongs to."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public there, only not in its __all__
    AdminClient,
    ClusterMetadata,
    NewTopic,
    OffsetSpec,
)

from features.errors import Unavailable

LOG_PREFIX = "kindred-log-"  # the embedded broker's mark: the rest of this topic's name is the id of its incarnation
_M, _LONG = np.uint32(0x5BD1E995), 64


@dataclass(frozen=True)
class Topic:
    """Number of partitions, fixed for life, and what Kafka is told beside it."""

    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


# Append time is what `available_at` means: when a reader could have known.
TOPICS: dict[str, Topic] = {
    "events": Topic(16, {"message.timestamp.type": "LogAppendTime"}),
    "events.rekey": Topic(16, {"message.timestamp.type": "LogAppendTime"}),
    "identity": Topic(16, {"message.timestamp.type": "LogAppendTime"}),
    "items": Topic(4, {"cleanup.policy": "compact"}),
    "events.dead-letter": Topic(4),
    "exposures": Topic(8, {"message.timestamp.type": "LogAppendTime"}),
}


def murmur2(key: bytes) -> int:
    """Kafka's hash of a key, unsigned 32 bits.

    Source:  org.apache.kafka.common.utils.Utils.murmur2; Austin Appleby, MurmurHash2, with Kafka's seed.
    """
    h = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * 0x5BD1E995 & 0xFFFFFFFF
        h = (h * 0x5BD1E995 ^ (k ^ k >> 24) * 0x5BD1E995) & 0xFFFFFFFF
    if whole < len(key):
        h = (h ^ int.from_bytes(key[whole:], "little")) * 0x5BD1E995 & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return h ^ h >> 15


def murmur2_many(keys: Sequence[bytes]) -> npt.NDArray[np.uint32]:
    """Kafka's hash of many keys, (n,): what murmur2 gives for each."""
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    words = min(int(lengths.max(initial=0)), _LONG) // 4
    # One key after the other, with room to read a word anywhere; a word that a key lacks is read and not used.
    joined = np.frombuffer(b"".join(keys) + bytes(_LONG + 4), np.uint8)
    starts = np.cumsum(lengths) - lengths
    h = np.uint32(0x9747B28C) ^ lengths.astype(np.uint32)
    whole = lengths // 4
    for word in range(words):
        k = _words(joined, starts + 4 * word) * _M
        h = np.where(word < whole, h * _M ^ (k ^ k >> np.uint32(24)) * _M, h)
    rest = (lengths & 3).astype(np.uint32)
    tail = _words(joined, starts + 4 * whole) & ((np.uint32(1) << np.uint32(8) * rest) - np.uint32(1))
    h = np.where(rest > 0, (h ^ tail) * _M, h)
    h = (h ^ h >> np.uint32(13)) * _M
    h ^= h >> np.uint32(15)
    for at in np.flatnonzero(lengths > _LONG).tolist():  # or one long key would cost as much for every other
        h[at] = murmur2(keys[at])
    return h


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Java's default partitioner and librdkafka's `murmur2_random` give a message with this key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def bucket_of(key: bytes, buckets: int) -> int:
    """The state bucket of a key; where the partitions divide the buckets, partition = bucket % partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % buckets


def ensure_topics(bootstrap: str, topics: Mapping[str, Topic] = TOPICS, timeout_s: float = 10.0) -> None:
    """Creates the topics that a cluster lacks; doing it again, or from two processes at once, changes nothing.

    The embedded broker has no call for it and makes its topics when it starts, so there it does nothing.

    Raises:  Unavailable: with the servers, when they don't answer or refuse.
    """
    there = metadata(bootstrap, timeout_s).topics
    missing = {name: topic for name, topic in topics.items() if name not in there}
    if not missing or _incarnation(there):
        return
    new = [NewTopic(name, topic.partitions, config=dict(topic.config)) for name, topic in missing.items()]
    admin = _admin(bootstrap)  # its answers end with it
    for created in admin.create_topics(new, operation_timeout=timeout_s).values():
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise _unavailable(bootstrap, error) from error
    _await(bootstrap, set(missing), timeout_s)


def partitions_of(bootstrap: str, topic: str, timeout_s: float = 5.0) -> int:
    """How many partitions a topic has; 0 where there is no such topic.

    Raises:  Unavailable: with the servers.
    """
    there = metadata(bootstrap, timeout_s).topics
    return len(there[topic].partitions) if topic in there else 0


def is_embedded(bootstrap: str, timeout_s: float = 5.0) -> bool:
    """Whether the cluster is the embedded broker, which is empty at every start.

    Raises:  Unavailable: with the servers.
    """
    return bool(_incarnation(metadata(bootstrap, timeout_s).topics))


def log_id(bootstrap: str, topic: str, timeout_s: float = 5.0) -> str:
    """Which log the offsets of a topic are positions in: another id means that they mean nothing any more.

    It outlives a restart of real Kafka; a topic deleted and created again has a new one, and so has every start of the
    embedded broker, which starts empty.

    Raises:  Unavailable: with the servers, also when they have no such topic.
    """
    cluster = metadata(bootstrap, timeout_s)
    if topic not in cluster.topics:
        raise Unavailable(f"Kafka at {bootstrap} has no topic {topic}")
    if incarnation := _incarnation(cluster.topics):
        return incarnation
    admin = _admin(bootstrap)
    try:
        found = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout_s)[topic].result()
    except KafkaException as error:
        raise _unavailable(bootstrap, error) from error
    return f"{cluster.cluster_id}/{found.topic_id}"


def first_offsets(bootstrap: str, topic: str, timeout_s: float = 5.0) -> dict[int, int]:
    """The lowest offset still kept, by partition: anything above 0 says that records were dropped.

    The embedded broker drops the oldest of a partition beyond 5 MiB without a word, so its producers look here.

    Raises:  Unavailable: with the servers.
    """
    return _offsets(bootstrap, topic, OffsetSpec.earliest(), timeout_s)  # type: ignore[no-untyped-call]


def last_offsets(bootstrap: str, topic: str, timeout_s: float = 5.0) -> dict[int, int]:
    """The offset that the next record will get, by partition.

    Raises:  Unavailable: with the servers.
    """
    return _offsets(bootstrap, topic, OffsetSpec.latest(), timeout_s)  # type: ignore[no-untyped-call]


def _offsets(bootstrap: str, topic: str, which: OffsetSpec, timeout_s: float) -> dict[int, int]:
    wanted = {TopicPartition(topic, part): which for part in range(partitions_of(bootstrap, topic))}
    if not wanted:
        return {}
    admin = _admin(bootstrap)
    try:
        found = admin.list_offsets(wanted, request_timeout=timeout_s)
        return {place.partition: answer.result().offset for place, answer in found.items()}
    except KafkaException as error:
        raise _unavailable(bootstrap, error) from error


def metadata(bootstrap: str, timeout_s: float) -> ClusterMetadata:
    """What the cluster says about itself: `cluster_id`, `brokers`, `topics`.

    Raises:  Unavailable: with the servers.
    """
    try:
        return _admin(bootstrap).list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise _unavailable(bootstrap, error) from error


def _words(data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Little-endian words of 4 bytes at any places."""
    return np.ascontiguousarray(data[at[:, None] + np.arange(4)]).view("<u4")[:, 0]


def _await(bootstrap: str, names: set[str], timeout_s: float) -> None:
    """The controller has made them; the brokers that clients ask hear of it a moment later."""
    deadline = time.monotonic() + timeout_s
    while not names <= metadata(bootstrap, timeout_s).topics.keys():
        if time.monotonic() > deadline:
            raise Unavailable(f"Kafka at {bootstrap} made {', '.join(sorted(names))} but doesn't show them")
        time.sleep(0.02)


def _incarnation(names: Iterable[str]) -> str:
    return next((name.removeprefix(LOG_PREFIX) for name in sorted(names) if name.startswith(LOG_PREFIX)), "")


def _admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap, "client.id": "kindred", "log_level": 0})


def _unavailable(bootstrap: str, error: KafkaException) -> Unavailable:
    return Unavailable(f"Kafka at {bootstrap} doesn't answer as it should: {error.args[0].str()}")
