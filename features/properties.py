"""Properties of events: the parts of E-commerce v2 that something is computed from; the rest is logged as it came."""

from typing import Annotated

from msgspec import Meta, Struct

from features.money import minor

MAX_LINES = 2_000

Id = Annotated[str, Meta(min_length=1, max_length=255)]
AnyId = Id | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]  # many shops send numbers; inside an id is always a string
Amount = Annotated[float, Meta(ge=-1e12, le=1e12)]  # in the currency's major unit


class Line(Struct, frozen=True, kw_only=True, gc=False):
    """One product of an event: `price` in the currency's major unit as sent, `quantity` in pieces."""

    product_id: AnyId | None = None
    sku: AnyId | None = None
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    variant: str | None = None
    price: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    quantity: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    url: str | None = None
    image_url: str | None = None

    @property
    def item_id(self) -> str:
        """The id under which the catalogue knows it: product_id, else sku; empty where neither is given."""
        value = self.product_id if self.product_id is not None else self.sku
        return "" if value is None else str(value)

    @property
    def pieces(self) -> int:
        """How many; what is sold by weight or length counts as at least one."""
        return 1 if self.quantity is None else max(1, round(self.quantity))

    def cents(self, currency: str) -> int:
        """Price of the whole line in integer minor units of the currency; 0 where no price is given."""
        price = minor(self.price or 0.0, currency)
        quantity = 1.0 if self.quantity is None else float(self.quantity)
        return price * int(quantity) if quantity.is_integer() else round(price * quantity)


class ProductProperties(Line, frozen=True, kw_only=True, gc=False):
    """Properties of an event about one product."""

    currency: str | None = None
    request_id: str | None = None


class OrderProperties(Struct, frozen=True, kw_only=True, gc=False):
    """Properties of an event about an order or a list: its lines."""

    order_id: AnyId | None = None
    currency: str | None = None
    total: Amount | None = None
    revenue: Amount | None = None
    discount: Amount | None = None
    shipping: Amount | None = None
    tax: Amount | None = None
    coupon: str | None = None
    products: Annotated[tuple[Line, ...], Meta(max_length=MAX_LINES)] | None = None
    request_id: str | None = None


class AnyProperties(Struct, frozen=True, gc=False):
    """Properties that no feature reads; they are logged as they came."""


Properties = ProductProperties | OrderProperties | AnyProperties
