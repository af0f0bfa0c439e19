"""One family of errors, named for what is wrong; each message says what would be right."""


class KindredError(Exception):
    """Base of every error that Kindred raises on purpose."""


class BadInput(KindredError):
    """A value from outside is wrong; `field` names it in the caller's own words."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class MalformedEvent(BadInput):
    """An event that can't be accepted; it belongs in the dead-letter topic."""


class BadSetting(BadInput):
    """An environment variable has a value that can't be used."""


class BadFeature(BadInput):
    """A feature's definition can't be used; the message says which one, where and why."""


class BadRule(BadInput):
    """A business action can't be used; `field` says where in its file, the message why."""


class NotFitted(KindredError):
    """A model was asked for an answer before fit() or load()."""


class BrokenArtifact(KindredError):
    """A model's files are missing, changed or of a format that serving doesn't read."""


class BrokenState(KindredError):
    """Bytes that should be a customer's state are none."""


class Unavailable(KindredError):
    """A server that the work needs doesn't answer; the message names it and its address."""


class Fenced(KindredError):
    """Another worker has claimed the bucket since: this one must let its partition go."""

    def __init__(self, bucket: int) -> None:
        super().__init__(f"bucket {bucket} was claimed by another worker")
        self.bucket = bucket


class Rewound(KindredError):
    """The stored position isn't the one that the batch was built on: read it again and go on from there."""

    def __init__(self, place: str, stored: int) -> None:
        super().__init__(f"{place} stands at {stored}, the batch was built on another position")
        self.place = place
        self.stored = stored


class Overtaken(KindredError):
    """Somebody else has moved what a decision was built on: look again and decide again."""


class Overloaded(KindredError):
    """More work waits than may wait: send less, or send it again later."""


class OffsetOutOfRange(KindredError):
    """The start offset isn't in the topic's log any more, or not yet: rebuild the partition from the event log."""

    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(f"the offset to read {topic}[{partition}] from is not in its log: rebuild from the event log")
        self.topic = topic
        self.partition = partition
