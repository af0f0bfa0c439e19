"""Fills in what each step is about: the product as it is labelled today, the list, the cart, the order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.simulation.catalogue import CURRENCY
from pipelines.simulation.customers import Refund
from pipelines.simulation.orders import BasketLine, totals
from pipelines.simulation.steps import (
    ADD,
    CHECKOUT,
    CLICK,
    IDENTIFY,
    LIST,
    ORDER,
    PAGE,
    REFUND,
    REMOVE,
    SEARCH,
    VIEW,
    WISH,
    Steps,
)
from pipelines.simulation.visits import Visits, World
from pipelines.simulation.wire import Basket, Draft, Listing, Product
from pipelines.simulation.words import CATEGORIES

FREE_SHIPPING, SHIPPING = 4_000, 395  # cents


@dataclass(frozen=True)
class Clerk:
    """Fills in the properties of one day's steps; labels are written once a day."""

    world: World
    labels: dict[int, Product] = field(default_factory=dict)

    def drafts(
        self, visits: Visits, steps: Steps, carts: dict[int, tuple[BasketLine, ...]], orders: dict[int, str]
    ) -> list[Draft]:
        """One draft for each step."""
        fill = self._fillers(visits, carts, orders)
        return [
            Draft(time, kind, person, True, named, fill[kind](place))
            for time, kind, person, named, place in zip(
                steps.time.tolist(),
                steps.kind.tolist(),
                visits.person[steps.visit].tolist(),
                steps.named.tolist(),
                steps.place.tolist(),
                strict=True,
            )
        ]

    def refund(self, refund: Refund) -> Draft:
        """The shop's server says that an order's lines came back."""
        basket = Basket(CURRENCY, totals(refund.lines) / 100, self._lines(refund.lines), refund.order_id)
        return Draft(refund.time, REFUND, refund.person, False, True, basket)

    def _fillers(
        self, visits: Visits, carts: dict[int, tuple[BasketLine, ...]], orders: dict[int, str]
    ) -> dict[int, Callable[[int], Any]]:
        legs, item, leg = visits.legs, visits.looks.item.tolist(), visits.looks.leg.tolist()
        category, shown = legs.category.tolist(), np.sort(legs.shown, axis=1).tolist()
        quantity = visits.looks.quantity.tolist()
        return {
            PAGE: lambda _: {"path": "/", "title": "Home"},
            IDENTIFY: lambda _: {"country": "GB"},
            SEARCH: lambda place: {"query": self._query(category[place], int(legs.shown[place, 0]))},
            LIST: lambda place: self._listing(category[place], shown[place]),
            VIEW: lambda place: self._label(item[place]),
            WISH: lambda place: self._label(item[place]),
            REMOVE: lambda place: self._line(item[place], quantity[place], self._cents(item[place])),
            ADD: lambda place: self._line(item[place], quantity[place], self._cents(item[place])),
            CLICK: lambda place: self._click(item[place], category[leg[place]], shown[leg[place]]),
            CHECKOUT: lambda visit: self._cart(carts[visit], None),
            ORDER: lambda visit: self._cart(carts[visit], orders[visit]),
        }

    def _label(self, row: int) -> Product:
        label = self.labels.get(row)
        if label is None:
            label = self.labels[row] = self._product(row, self._cents(row))
        return label

    def _product(self, row: int, cents: int, **more: Any) -> Product:
        items = self.world.items
        category = CATEGORIES[items.category[row]].name
        return Product(items.ids[row], items.titles[row], category, items.brands[row], cents / 100, CURRENCY, **more)

    def _cents(self, row: int) -> int:
        return int(self.world.shelf.price[row])

    def _line(self, row: int, quantity: int, cents: int) -> Product:
        return self._product(row, cents, quantity=quantity)

    def _lines(self, lines: tuple[BasketLine, ...]) -> list[Product]:
        return [self._line(*line) for line in lines]

    def _listing(self, category: int, shown: list[int]) -> Listing:
        name = CATEGORIES[category].name
        return Listing(f"category/{name}", name, CURRENCY, [self._label(row) for row in shown if row >= 0])

    def _click(self, row: int, category: int, shown: list[int]) -> Product:
        position = 1 + [other for other in shown if other >= 0].index(row)
        name = CATEGORIES[category].name
        return self._product(row, self._cents(row), position=position, list_id=f"category/{name}")

    def _query(self, category: int, row: int) -> str:
        """Half of all searches are for the category, the others for what the best hit is called."""
        title = self.world.items.titles[row]
        return title.split(" in ")[0].split(" ", 1)[1].lower() if row % 2 else CATEGORIES[category].name

    def _cart(self, lines: tuple[BasketLine, ...], order_id: str | None) -> Basket:
        goods = totals(lines)
        if order_id is None:
            return Basket(CURRENCY, goods / 100, self._lines(lines))
        shipping = 0 if goods >= FREE_SHIPPING else SHIPPING
        return Basket(
            CURRENCY,
            (goods + shipping) / 100,
            self._lines(lines),
            order_id,
            revenue=goods / 100,
            shipping=shipping / 100,
        )
