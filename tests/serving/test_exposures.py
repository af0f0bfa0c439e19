"""What was served goes into Kafka behind the answer's back: nothing of it waits, fails or piles up."""

import asyncio
from typing import Any

import pytest

from features.errors import Overloaded, Unavailable
from features.exposures import Assigned, Exposure, ServedBy, Shown, decode_exposure
from features.kafka.producer import Done
from serving.decide.asked import Asked
from serving.decide.decision import Decision, Placed
from serving.decide.state import Canary, Champion, State
from serving.engine import Served
from serving.exposures import ExposureQueue, _moment
from serving.metrics import EXPOSURES

AT = 1_767_225_600_123


class Kafka:
    """Keeps what it is sent; `fate` is what becomes of each record, `refuses` what sending raises."""

    def __init__(self, fate: Exception | None = None, refuses: Exception | None = None) -> None:
        self.fate, self.refuses = fate, refuses
        self.sent: list[tuple[str, bytes | None, Exposure]] = []
        self.closed = False

    def send(self, topic: str, key: bytes | None, value: bytes, on_done: Done) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.sent.append((topic, key, decode_exposure(value)))
        on_done(self.fate)

    def close(self) -> None:
        self.closed = True


def served(request_id: str = "r", score: Any = 0.5, user_id: str | None = "u1") -> Served:
    place = Placed("i1", score, 1, "als", propensity=0.25)
    decision = Decision((place,), "plackett-luce(rate=0.1,top=5)", -7, ("i1", "i2"), ("als", "3"), "canary", ())
    asked = Asked(now=AT, n=1, customer="u:u1", placement="home", as_of=AT - 5)
    tried = Canary(Champion("als", "3", None, None), 0.1, "seed")  # type: ignore[arg-type]
    return Served(request_id, user_id, None, State(canary=tried, variant="canary"), asked, decision, ("registry",))


def counted(outcome: str) -> float:
    return float(EXPOSURES.labels(outcome)._value.get())


def serve(queue: ExposureQueue, *answers: Served, turns: float = 0.1) -> None:
    """Log answers, then give the loop some time."""

    async def go() -> None:
        for answer in answers:
            queue.log(answer)
        await asyncio.sleep(turns)

    asyncio.run(go())


def queue_of(kafka: Kafka, most: int = 100) -> ExposureQueue:
    return ExposureQueue(kafka, most)  # type: ignore[arg-type]


def test_a_slate_is_logged_with_all_that_an_off_policy_estimate_needs() -> None:
    kafka, before = Kafka(), counted("logged")
    serve(queue_of(kafka), served())
    assert kafka.sent == [
        (
            "exposures",
            b"u1",
            Exposure(
                request_id="r",
                timestamp=_moment(AT),
                user_id="u1",
                placement="home",
                policy="plackett-luce(rate=0.1,top=5)",
                seed=-7,
                eligible=("i1", "i2"),
                slate=(Shown(item_id="i1", position=1, score=0.5, propensity=0.25, source="als"),),
                model=ServedBy(name="als", version="3"),
                experiment=Assigned(key="canary:als:3", variant="canary"),
                variant="canary",
                as_of=_moment(AT - 5),
                degraded=("registry",),
            ),
        )
    ]
    assert kafka.sent[0][2].timestamp.isoformat() == "2026-01-01T00:00:00.123000+00:00"
    assert counted("logged") == before + 1


def test_an_answer_only_leaves_its_decision_behind_and_waits_for_nothing() -> None:
    kafka = Kafka()
    queue = queue_of(kafka)

    async def go() -> None:
        queue.log(served())
        assert kafka.sent == []

    asyncio.run(go())
    queue.close()
    assert len(kafka.sent) == 1
    assert kafka.closed


def test_many_are_handed_over_a_few_at_a_time_in_order() -> None:
    kafka = Kafka()
    serve(queue_of(kafka), *(served(f"r{number}") for number in range(60)))
    assert [exposure.request_id for _, _, exposure in kafka.sent] == [f"r{number}" for number in range(60)]


def test_a_slate_after_a_pause_is_logged_too() -> None:
    kafka = Kafka()
    queue = queue_of(kafka)
    serve(queue, served("first"))
    serve(queue, served("second"))
    assert [exposure.request_id for _, _, exposure in kafka.sent] == ["first", "second"]


def test_more_than_may_wait_are_counted_and_gone() -> None:
    kafka, before = Kafka(), counted("crowded_out")
    serve(queue_of(kafka, most=3), *(served(f"r{number}") for number in range(5)))
    assert len(kafka.sent) == 3
    assert counted("crowded_out") == before + 2


@pytest.mark.parametrize("error", [Overloaded("full"), Unavailable("away"), RuntimeError("broken")])
def test_what_kafkas_client_refuses_is_counted_and_the_next_is_tried(error: Exception) -> None:
    before = counted("refused")
    serve(queue_of(Kafka(refuses=error)), served(), served())
    assert counted("refused") == before + 2


def test_what_kafka_never_acknowledged_is_counted() -> None:
    before = counted("unacknowledged")
    serve(queue_of(Kafka(fate=Unavailable("away"))), served())
    assert counted("unacknowledged") == before + 1


def test_a_slate_that_can_not_be_written_down_takes_no_other_one_with_it() -> None:
    kafka, before = Kafka(), counted("refused")
    serve(queue_of(kafka), served("bad", score=object()), served("good"))
    assert [exposure.request_id for _, _, exposure in kafka.sent] == ["good"]
    assert counted("refused") == before + 1


def test_a_caller_that_keeps_its_history_itself_is_nobody() -> None:
    kafka = Kafka()
    serve(queue_of(kafka), served(user_id=None))
    assert [key for _, key, _ in kafka.sent] == [None]
