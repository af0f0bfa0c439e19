"""Chromium on the demo page, and the small shop that answers it."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, sync_playwright

from tests.serving.fake_shop import Shop, served
from tests.serving.page.looking import CHROMIUM, FLAGS


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    home = {name: str(tmp_path_factory.mktemp("home")) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, env={**os.environ, **home})
        yield chromium
        chromium.close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    with served(Shop()) as shop:
        yield shop


@pytest.fixture
def page(browser: Browser, shop: Shop) -> Iterator[Page]:
    """A page whose script errors and broken policy fail the test that had them."""
    wrong: list[str] = []

    def dialog(opened: Dialog) -> None:
        wrong.append(f"a script ran: {opened.message}")
        opened.dismiss()

    def console(line: ConsoleMessage) -> None:
        if "Content Security Policy" in line.text:
            wrong.append(line.text)

    context = browser.new_context(base_url=shop.url, viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    opened.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    opened.on("dialog", dialog)
    opened.on("console", console)
    yield opened
    context.close()
    assert wrong == []
