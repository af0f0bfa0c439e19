"""What a test sees of the page, and does there."""

import shutil

import pytest
from playwright.sync_api import Locator, Page, expect

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def titles(page: Page) -> list[str]:
    return [text.removeprefix("View ") for text in page.locator("#grid .open").all_text_contents()]


def card(page: Page, title: str) -> Locator:
    return page.locator(".card").filter(has=page.locator(".open", has_text=title))


def tile(page: Page, name: str) -> Locator:
    return page.locator(".tile", has=page.get_by_text(name, exact=True)).locator("dd")


def pick(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"For {name}")
    expect(page.locator("#slate")).to_have_attribute("aria-busy", "false")
