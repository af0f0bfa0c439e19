"""The stream processor: Kafka to states in Redis and to the event log, each event exactly once."""

from pipelines.stream.outbox import DEAD_LETTERS
from pipelines.stream.processor import STEPS, Processor
from pipelines.stream.session import run

__all__ = ["DEAD_LETTERS", "STEPS", "Processor", "run"]
