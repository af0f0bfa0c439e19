"""What the page shows while something fails, is empty or comes late: that it does, and how to go on."""

from playwright.sync_api import Page, Request, expect
from playwright.sync_api import Route as Held

from tests.serving.fake_shop import NOW, Shop
from tests.serving.page.looking import card, needs_chromium, pick, tile, titles

pytestmark = needs_chromium


def test_a_failure_is_explained_and_the_retry_sends_the_same_message(page: Page, shop: Shop) -> None:
    page.goto("/")
    pick(page, "c000001")
    before = titles(page)
    tracked: list[Request] = []
    page.on("request", lambda request: tracked.append(request) if request.url.endswith("/v1/track") else None)
    shop.broken = True
    card(page, "Cedar planter").locator(".open").click()
    expect(page.get_by_role("alert")).to_contain_text("Redis is away.")
    assert titles(page) == before
    shop.broken = False
    page.get_by_role("button", name="Try again").click()
    expect(tile(page, "Events")).to_have_text("1")
    expect(page.get_by_role("alert")).to_be_hidden()
    first, second = ((request.post_data_json or {})["messageId"] for request in tracked)
    assert first == second


def test_a_service_that_is_away_is_said_and_tried_again(page: Page) -> None:
    page.goto("/")
    pick(page, "c000001")
    page.context.set_offline(True)
    page.get_by_role("button", name="c000002").click()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer.")
    expect(page.locator("#grid .card")).to_have_count(0)
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#grid .card")).to_have_count(12)


def test_no_customers_and_an_empty_slate_are_explained(page: Page, shop: Shop) -> None:
    shop.customers, shop.items = [], {}
    page.goto("/")
    expect(page.locator(".pick")).to_contain_text("No customers yet.")
    page.get_by_role("button", name="Start as a new visitor").click()
    expect(page.locator("#empty")).to_contain_text("Nothing to recommend")


def test_a_slate_is_shown_where_customers_can_neither_be_listed_nor_read(page: Page, shop: Shop) -> None:
    shop.away, shop.degraded = {"/demo/customers", "/demo/profile"}, ["profile"]
    page.goto("/#user_id=c000001")
    expect(page.locator("#grid .card")).to_have_count(12)
    expect(page.locator("#degraded li")).to_contain_text("The live profile is away")
    expect(page.get_by_role("alert")).to_contain_text("Redis is away.")


def test_what_an_answer_had_to_do_without_is_a_visible_notice(page: Page, shop: Shop) -> None:
    shop.degraded = ["model", "moon"]
    page.goto("/")
    expect(page.locator("#degraded")).to_be_visible()
    expect(page.locator("#degraded li")).to_have_text(
        ["No model is loaded yet: these items are trending ones.", "This answer had to do without: moon."]
    )


def test_an_answer_for_a_customer_left_behind_is_not_drawn(page: Page, shop: Shop) -> None:
    page.goto("/")
    pick(page, "c000001")
    held: list[Held] = []
    page.route("**/recommend", lambda route: held.append(route) if not held else route.continue_())
    shop.events = [
        {"event": "Product Viewed", "userId": "c000002", "properties": {"product_id": "i3k"}, "timestamp": NOW}
    ]
    with page.expect_request("**/recommend"):
        page.get_by_role("button", name="c000002").click()
    page.get_by_role("button", name="c000003").click()
    expect(tile(page, "Events")).to_have_text("0")
    third = titles(page)
    with page.expect_response("**/recommend"):
        held[0].continue_()
    expect(page.locator("#slate")).to_have_attribute("aria-busy", "false")
    assert titles(page) == third
    expect(tile(page, "Events")).to_have_text("0")
