"""Browser tests drive the system's Chromium with Playwright, which downloads no browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

TIMEOUT = 60_000  # milliseconds
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        assert "CI" not in os.environ, "CI must run the browser tests: install chromium"
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def new_page(browser: Browser, **options: Any) -> Iterator[Page]:
    """An empty page, large enough for MLflow's pages. `options` go to Playwright's `new_context`."""
    context = browser.new_context(viewport={"width": 1600, "height": 3000}, **options)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    expect.set_options(timeout=TIMEOUT)
    yield page
    context.close()


def expect_run(page: Page, address: str) -> None:
    """Expect the open page of a run to show its options, status and command; then its curves and figures."""
    for text in ("model.width", "Finished", "curve_1d", "piecewise train trainer.max_epochs=2"):
        expect(page.get_by_text(text).first).to_be_visible()
    page.goto(f"{address}/model-metrics")
    for metric in ("train/nll", "val/nll", "test/nll"):
        expect(page.get_by_text(f"({metric})").first).to_be_visible()
    expect(page.locator(".js-plotly-plot .points path").first).to_be_attached()
    page.goto(f"{address}/artifacts/figures/fitted_function.svg")
    expect(page.get_by_text("learning_curves.svg").first).to_be_visible()
    page.wait_for_function("[...document.images].some(image => image.naturalWidth > 300)")
