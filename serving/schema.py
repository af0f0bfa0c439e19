"""What a request may say and what an answer looks like: the bounds of the contract, checked first."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from features.errors import BadInput
from features.events import canonical

Id = Annotated[str, Meta(min_length=1, max_length=255)]
Count = Annotated[int, Meta(ge=1, le=100)]
Ids = Annotated[tuple[Id, ...], Meta(max_length=1_000)]
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)


class Touched(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of a history that the caller keeps itself."""

    item_id: Id
    event: Annotated[str, Meta(max_length=255)] = "Product Viewed"
    timestamp: Annotated[datetime, Meta(tz=True)] | None = None

    def __post_init__(self) -> None:
        if self.timestamp is not None and not EARLIEST <= self.timestamp <= LATEST:
            raise ValueError(f"timestamp must lie between {EARLIEST:%Y} and {LATEST:%Y}")

    @property
    def name(self) -> str:
        """The event's canonical name."""
        return canonical(self.event)

    @property
    def at(self) -> int | None:
        """Its time in ms UTC, None where only the order is known."""
        return None if self.timestamp is None else round(self.timestamp.timestamp() * 1000)


class Filter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the slate is limited to; `max_price` in the item's own currency.

    What is out of stock is never shown, whatever `in_stock` says.
    """

    category: Annotated[tuple[Annotated[str, Meta(max_length=255)], ...], Meta(max_length=100)] = ()
    in_stock: bool = True
    max_price: Annotated[float, Meta(ge=0)] | None = None


Touches = Annotated[tuple[Touched, ...], Meta(max_length=200)]
Context = Annotated[dict[str, str | int | float | bool | None], Meta(max_length=50)]


class RecommendRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /recommend, and the parameters of GET.

    `item_id` is the item that is looked at; `context` may say `country` and `device`; `debug` asks for the trace, which
    takes a key of that scope.
    """

    user_id: Id | None = None
    anonymous_id: Id | None = None
    n: Count = 10
    placement: Annotated[str, Meta(max_length=100)] = "default"
    item_id: Id | None = None
    history: Touches | None = None
    context: Context = {}
    filter: Filter = Filter()
    exclude: Ids = ()
    after: Id | None = None
    debug: bool = False


Filtered = Annotated[str, Meta(max_length=255)]


class Parameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of GET /recommend, which say what the body of POST does.

    `category`, `exclude` and `history` (items that were viewed, oldest first) may come several times; `history` without
    a value is that of a new visitor.
    """

    user_id: Id | None = None
    anonymous_id: Id | None = None
    n: Count = 10
    placement: Annotated[str, Meta(max_length=100)] = "default"
    item_id: Id | None = None
    history: Annotated[tuple[Filtered, ...], Meta(max_length=200)] | None = None
    country: str | None = None
    device: str | None = None
    category: Annotated[tuple[Filtered, ...], Meta(max_length=100)] = ()
    max_price: Annotated[float, Meta(ge=0)] | None = None
    exclude: Ids = ()
    after: Id | None = None
    debug: bool = False


class RankRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /rank: the answer holds every one of `item_ids`, each once, best first, whatever is known of it."""

    item_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=1_000)]
    user_id: Id | None = None
    anonymous_id: Id | None = None
    placement: Annotated[str, Meta(max_length=100)] = "default"
    item_id: Id | None = None
    history: Touches | None = None
    context: Context = {}
    after: Id | None = None
    debug: bool = False


class SimilarRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /similar; actions that name placements hold here under the placement `similar`."""

    item_id: Id
    n: Count = 10
    filter: Filter = Filter()
    exclude: Ids = ()
    context: Context = {}
    debug: bool = False


class Reason(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an item is there; `item_id` is the item of the history that caused it, `rule` the action that moved it."""

    kind: Literal[
        "because_you_viewed",
        "because_you_added",
        "because_you_bought",
        "similar_to",
        "trending",
        "popular",
        "new",
        "rule",
    ]
    item_id: str | None = None
    rule: str | None = None


class Ranked(Struct, frozen=True, kw_only=True):
    """One item of a slate."""

    item_id: str
    score: float
    rank: int
    reasons: tuple[Reason, ...]
    source: str


class ModelVersion(Struct, frozen=True):
    """The model that an answer comes from."""

    name: str
    version: str


class Assigned(Struct, frozen=True):
    """What a customer was drawn into, and their variant of it: of a canary `champion` or `canary`."""

    key: str
    variant: str


class RecommendResponse(Struct, frozen=True, kw_only=True):
    """Answer of /recommend, /similar and /rank; `as_of` is the time of the newest event that it reflects.

    `debug` is there only where it was asked for: the whole way of the decision.
    """

    request_id: str
    items: tuple[Ranked, ...]
    model: ModelVersion | None
    experiment: Assigned | None = None
    as_of: str | None
    degraded: tuple[str, ...]
    debug: dict[str, Any] | UnsetType = UNSET


Anyone = TypeVar("Anyone", RecommendRequest, RankRequest)
SEVERAL = frozenset({"category", "exclude", "history"})
_recommend = msgspec.json.Decoder(RecommendRequest)
_rank = msgspec.json.Decoder(RankRequest)
_similar = msgspec.json.Decoder(SimilarRequest)


def parse_recommend(body: bytes) -> RecommendRequest:
    """A checked request.

    Raises:  BadInput: with the field.
    """
    request: RecommendRequest = _parse(_recommend, body)
    return _for_somebody(request)


def parse_rank(body: bytes) -> RankRequest:
    """A checked request.

    Raises:  BadInput: with the field.
    """
    request: RankRequest = _parse(_rank, body)
    return _for_somebody(request)


def parse_parameters(given: Iterable[tuple[str, str]]) -> RecommendRequest:
    """The same request from the parameters of a GET.

    Raises:  BadInput: with the parameter.
    """
    values: dict[str, Any] = {}
    for name, value in given:
        if name in SEVERAL:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise BadInput(f"{name[:100]}: may come once", name[:100])
        else:
            values[name] = value
    if unknown := [name for name in values if name not in Parameters.__struct_fields__]:
        known = ", ".join(sorted(Parameters.__struct_fields__))
        raise BadInput(f"{unknown[0][:100]}: is no parameter; known ones: {known}", unknown[0][:100])
    try:
        return _for_somebody(_meant(msgspec.convert(values, Parameters, strict=False)))
    except msgspec.ValidationError as error:
        raise _named(error) from error


def parse_similar(body: bytes) -> SimilarRequest:
    """A checked request.

    Raises:  BadInput: with the field.
    """
    request: SimilarRequest = _parse(_similar, body)
    return request


def _meant(given: Parameters) -> RecommendRequest:
    context = {"country": given.country, "device": given.device}
    history = None if given.history is None else tuple(Touched(item_id=each) for each in given.history if each)
    return RecommendRequest(
        user_id=given.user_id,
        anonymous_id=given.anonymous_id,
        n=given.n,
        placement=given.placement,
        item_id=given.item_id,
        history=history,
        context={name: value for name, value in context.items() if value is not None},
        filter=Filter(category=given.category, max_price=given.max_price),
        exclude=given.exclude,
        after=given.after,
        debug=given.debug,
    )


def _for_somebody(request: Anyone) -> Anyone:
    if not request.user_id and not request.anonymous_id and request.history is None:
        raise BadInput("say who it is for: one of user_id, anonymous_id, history is needed", "user_id")
    return request


def _parse(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _named(error) from error


def _named(error: Exception) -> BadInput:
    """The refusal with its field, which msgspec names at the end of its message or within it."""
    message, _, path = str(error).partition(" - at `$")
    named = message.rpartition("`")[0].rpartition("`")[2] if "field `" in message else ""
    field = f"{path.rstrip('`')}.{named}".strip(".") if named else path.rstrip("`").strip(".")
    return BadInput(f"{field or 'body'}: {message}", field or "body")
