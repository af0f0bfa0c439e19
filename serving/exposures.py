"""Every slate into the topic `exposures`, off the request's path: it never delays and never fails an answer.

An answer leaves its decision in a bounded queue. The loop hands a few at a time to Kafka's client between requests; no
thread of our own does, since it would hold up the loop for longer than the work takes. What can't be logged is counted.
"""

import asyncio
import logging
from collections import deque
from datetime import UTC, datetime

from features.errors import KindredError
from features.exposures import Assigned, Exposure, ServedBy, Shown, encode_exposure, exposure_key
from features.kafka.producer import Producer
from features.settings import Settings
from serving.engine import Served, assigned
from serving.metrics import exposures_of

TOPIC = "exposures"
WAITING, AT_ONCE = 10_000, 16
AFTER_S = 0.01
LINGER_MS, PATIENCE_MS, MOST_QUEUED = 20, 60_000, 50_000  # a Kafka that is back within a minute has lost none

logger = logging.getLogger("kindred.serving")


class ExposureQueue:
    """Takes what was served; use it from the event loop's thread."""

    def __init__(self, producer: Producer, most: int = WAITING) -> None:
        self.producer = producer
        self.most = most
        self._waiting: deque[Served] = deque()
        self._is_due = False

    def log(self, served: Served) -> None:
        """Take one answer; where too many wait already, it is counted and gone."""
        if len(self._waiting) >= self.most:
            exposures_of("crowded_out").inc()
            return
        self._waiting.append(served)
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(AFTER_S, self._drain)

    def close(self) -> None:
        """Hand over what waits, and wait a few seconds for Kafka to have it."""
        while self._waiting:
            self._send(self._waiting.popleft())
        self.producer.close()

    def _drain(self) -> None:
        """A few, then what else the loop has to do, then the next few."""
        for _ in range(min(AT_ONCE, len(self._waiting))):
            self._send(self._waiting.popleft())
        self._is_due = bool(self._waiting)
        if self._is_due:
            asyncio.get_running_loop().call_soon(self._drain)

    def _send(self, served: Served) -> None:
        try:
            exposure = exposure_of(served)
            self.producer.send(TOPIC, exposure_key(exposure), encode_exposure(exposure), on_done=_done)
        except KindredError as error:
            exposures_of("refused").inc()
            logger.debug("%s was not logged: %s", served.request_id, error)
        except Exception:
            exposures_of("refused").inc()
            logger.exception("%s could not be made an exposure", served.request_id)


def exposure_producer(settings: Settings) -> Producer:
    """A client of its own: exposures that pile up must not crowd out what callers wait for."""
    return Producer(settings.kafka, LINGER_MS, PATIENCE_MS, MOST_QUEUED)


def exposure_of(served: Served) -> Exposure:
    """What is kept of an answer."""
    asked, decision, part = served.asked, served.decision, assigned(served.state)
    return Exposure(
        request_id=served.request_id,
        timestamp=_moment(asked.now),
        user_id=served.user_id or None,
        anonymous_id=served.anonymous_id or None,
        placement=asked.placement,
        policy=decision.policy,
        seed=decision.seed,
        eligible=decision.eligible,
        slate=tuple(
            Shown(
                item_id=placed.item_id,
                position=placed.rank,
                score=placed.score,
                propensity=placed.propensity,
                source=placed.source,
            )
            for placed in decision.slate
        ),
        model=None if decision.champion is None else ServedBy(name=decision.champion[0], version=decision.champion[1]),
        experiment=None if part is None else Assigned(key=part.key, variant=part.variant),
        variant=decision.variant,
        as_of=_moment(asked.as_of) if asked.as_of else None,
        degraded=served.degraded,
    )


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _done(error: Exception | None) -> None:
    exposures_of("logged" if error is None else "unacknowledged").inc()
