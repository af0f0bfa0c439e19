"""The demo page in a real browser, against a small shop that answers as the service does."""

import json
import shlex
import time
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from features.events import decode
from tests.serving.fake_shop import Shop
from tests.serving.page.looking import card, needs_chromium, pick, tile, titles
from tests.serving.world import eventually

HTML_TITLE = "<img src=x onerror=alert(1)><b>Bold</b> lamp"
COUNT_GLIDES = """
const animate = Element.prototype.animate;
window.glides = 0;
Element.prototype.animate = function (...all) { window.glides += 1; return animate.apply(this, all); };
"""

pytestmark = needs_chromium


def test_a_click_changes_the_slate_and_the_profile(page: Page) -> None:
    page.goto("/")
    pick(page, "c000003")
    before = titles(page)
    assert len(before) == 12
    card(page, "Two-person tent").locator(".open").click()
    expect(page.locator("#change")).to_have_text("click to slate: 1 new, 11 moved, 1 gone")
    assert titles(page) != before
    assert titles(page)[0] == "Two-person tent"
    expect(card(page, "Enamel mug")).to_contain_text("because you viewed Two-person tent")
    expect(page.locator(".mark.new")).to_have_count(1)
    expect(page.locator("#ms")).to_contain_text(" ms")
    expect(page.locator("#facts")).to_contain_text("reflects your click")
    expect(tile(page, "Events")).to_have_text("1")
    expect(page.locator(".recent")).to_contain_text("Two-person tent")
    expect(page.locator(".affinity")).to_contain_text("outdoor100 %")
    expect(page.locator("#live")).to_contain_text("1 new, 11 moved")


def test_every_action_sends_an_event_that_the_service_accepts(page: Page, shop: Shop) -> None:
    page.goto("/")
    pick(page, "c000003")
    card(page, "Enamel mug").locator(".open").click()
    expect(tile(page, "Events")).to_have_text("1")
    card(page, "Enamel mug").get_by_role("button", name="Add to cart").click()
    expect(tile(page, "Events")).to_have_text("2")
    card(page, "Enamel mug").get_by_role("button", name="Buy").click()
    expect(tile(page, "Spent")).to_have_text("£29.50")
    expect(card(page, "Enamel mug")).to_have_count(0)
    expect(page.locator("#facts")).to_contain_text("reflects your order")
    read = [decode(json.dumps(event).encode(), arrived_at=int(time.time() * 1000)) for event in shop.events]
    assert [event.name for event in read] == ["Product Viewed", "Product Added", "Order Completed"]
    assert [event.customer for event in read] == ["u:c000003"] * 3
    assert [(line.item_id, line.cents(event.currency)) for event in read for line in event.lines] == [("i2o", 2950)] * 3
    assert [body["after"] for body in shop.bodies if body.get("after")] == [event["messageId"] for event in shop.events]


def test_the_list_seen_and_the_place_clicked_are_told_under_the_slates_request_id(page: Page, shop: Shop) -> None:
    page.goto("/")
    pick(page, "c000003")
    expect(page.locator("#facts")).to_contain_text("als")
    card(page, "Enamel mug").locator(".open").click()
    expect(tile(page, "Events")).to_have_text("1")
    told = eventually(lambda: [each for each in shop.told if each["userId"] == "c000003"], lambda told: len(told) == 3)
    for event in told:
        assert decode(json.dumps(event).encode(), arrived_at=int(time.time() * 1000)).customer == "u:c000003"
    seen, clicked, again = told
    assert [event["event"] for event in (seen, clicked, again)] == [
        "Product List Viewed",
        "Product Clicked",
        "Product List Viewed",
    ]
    assert seen["properties"]["request_id"] == clicked["properties"]["request_id"] != again["properties"]["request_id"]
    places = {line["product_id"]: line["position"] for line in seen["properties"]["products"]}
    assert list(places.values()) == list(range(1, 13))
    assert clicked["properties"]["position"] == places[clicked["properties"]["product_id"]]


def test_a_new_visitor_is_known_by_an_anonymous_id_alone(page: Page, shop: Shop) -> None:
    page.goto("/")
    page.get_by_role("button", name="A new visitor").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("For a new visitor")
    expect(tile(page, "Events")).to_have_text("0")
    card(page, "Cedar planter").locator(".open").click()
    expect(tile(page, "Events")).to_have_text("1")
    assert shop.events[0]["anonymousId"]
    assert "userId" not in shop.events[0]


def test_a_title_with_html_is_shown_as_text(page: Page, shop: Shop) -> None:
    shop.items = {"x": shop.item("x", "<i>c</i>", HTML_TITLE, 3.0), "y": shop.item("y", "<i>c</i>", "plain", 3.0)}
    page.goto("/")
    card(page, HTML_TITLE).locator(".open").click()
    expect(page.locator(".recent b")).to_have_text(HTML_TITLE)
    expect(card(page, "plain").locator(".reasons")).to_have_text(f"because you viewed {HTML_TITLE}")
    expect(page.locator("#log .what")).to_have_text(HTML_TITLE)
    assert page.locator("main img, main i:not(.track, .share), main b b").count() == 0


def test_the_search_narrows_the_list(page: Page) -> None:
    page.goto("/")
    page.get_by_role("searchbox").fill("11")
    expect(page.locator(".customer")).to_have_count(1)
    page.get_by_role("searchbox").fill("nobody")
    expect(page.locator("#no-customers")).to_have_text("No customer matches “nobody”.")


def test_the_keyboard_alone_picks_a_customer_and_an_item_and_keeps_its_place(page: Page) -> None:
    page.goto("/")
    expect(page.locator("#grid .card")).to_have_count(12)
    page.get_by_role("searchbox").focus()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", level=1)).to_have_text("For c000002")
    expect(page.locator("#slate")).to_have_attribute("aria-busy", "false")
    for key in ("Tab", "Tab", "Tab", "Tab", "Tab"):  # Refresh, the first card's three buttons, the second card
        page.keyboard.press(key)
    chosen = titles(page)[1]
    expect(card(page, chosen).locator(".open")).to_be_focused()
    page.keyboard.press("Enter")
    expect(tile(page, "Events")).to_have_text("1")
    expect(card(page, chosen).locator(".open")).to_be_focused()


def test_cards_glide_to_their_new_place_unless_motion_is_unwelcome(page: Page, shop: Shop) -> None:
    page.add_init_script(COUNT_GLIDES)
    for motion, glides in (("reduce", 0), ("no-preference", 12)):
        shop.events = []
        page.emulate_media(reduced_motion=motion)  # type: ignore[arg-type]
        page.goto("/")
        card(page, "Two-person tent").locator(".open").click()
        expect(page.locator("#change")).to_contain_text("11 moved")
        assert page.evaluate("window.glides") == glides


def test_a_developer_sees_events_and_the_last_call_as_json_and_curl(page: Page, shop: Shop) -> None:
    shop.items["i1o"]["title"] = "Mother's tent"
    page.goto("/")
    pick(page, "c000001")
    card(page, "Mother's tent").locator(".open").click()
    page.get_by_text("Under the hood").click()
    expect(page.locator("#log li")).to_contain_text("Product Viewed")
    expect(page.locator("#response")).to_contain_text('"version": "12"')
    page.get_by_role("button", name="POST /v1/track").click()
    line = page.locator("#curl").text_content() or ""
    words = shlex.split(line)
    assert words[:4] == ["curl", "-sS", "-X", "POST"]
    assert json.loads(words[-1])["properties"]["name"] == "Mother's tent"


def test_a_narrow_screen_never_scrolls_sideways(page: Page, shop: Shop) -> None:
    shop.items["i1o"]["title"] = "Unbreakably" * 12
    shop.customers[0] = "someone-with-a-very-long-id@" + "subdomain." * 8 + "example"
    page.set_viewport_size({"width": 375, "height": 812})
    page.goto("/")
    card(page, "Unbreakably").locator(".open").click()
    expect(page.locator(".recent")).to_contain_text("Unbreakably")
    page.get_by_text("Under the hood").click()
    expect(page.locator("#request")).to_contain_text("placement")
    assert page.evaluate("document.documentElement.scrollWidth") == 375


def test_every_request_stays_on_the_page_s_own_origin(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/")
    card(page, "Enamel mug").get_by_role("button", name="Buy").click()
    expect(tile(page, "Orders")).to_have_text("1")
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith("data:")}
    assert hosts == {urlsplit(page.url).netloc}
