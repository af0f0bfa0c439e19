"""How much a worker takes on at once: what is more is told to come again, before anything is done for it."""

from collections.abc import Mapping
from types import TracebackType

from features.errors import Overloaded

SLATES = ("/recommend", "/similar", "/rank")
EVENTS = "/v1/"


class InFlight:
    """Counts requests that are being answered; as a `with` block it is one of them.

    Raises:  Overloaded: there are `most` already.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.now = 0

    def __enter__(self) -> None:
        if self.now >= self.most:
            raise Overloaded("more requests are being answered than the service takes on; come again in a second")
        self.now += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.now -= 1


def in_flight(paths: list[str], most: int) -> Mapping[str, InFlight]:
    """The count that each path belongs to: slates have one, events another, so that a Kafka that keeps events waiting
    takes no slate's place. Paths that ask for neither, such as /readyz, are counted by nothing.
    """
    slates, events = InFlight(most), InFlight(most)
    return {path: slates if path in SLATES else events for path in paths if path in SLATES or path.startswith(EVENTS)}
