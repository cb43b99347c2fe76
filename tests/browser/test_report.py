"""The report in a browser: at desktop and phone width, in the light and the dark theme, and printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from piecewise.jobs.job import Job
from piecewise.project import Project
from piecewise.report.page import write_report
from small_project import TINY, evaluate_experiment

Plan = Callable[..., list[Job]]
pytestmark = pytest.mark.slow

# The lowest contrast of any text with its background (WCAG 2); level AA requires 4.5.
CONTRAST = """() => {
  const channel = value => { const c = value / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const ground = element => {
    for (; element; element = element.parentElement) {
      const c = numbers(getComputedStyle(element).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const own = element => [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  return Math.min(...[...document.body.querySelectorAll("*")].filter(own).map(element => {
    const [a, b] = [luminance(numbers(getComputedStyle(element).color)), luminance(ground(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
}"""


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")], ids=str)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    yield context.new_page()
    context.close()


def test_report_loads_nothing_fits_the_window_and_has_enough_contrast(plan: Plan, project: Project, page: Page) -> None:
    evaluate_experiment(project, plan("-m", *TINY, "model.width=3,20", "seed=0,1"))
    noise: list[str] = []
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on("request", lambda request: noise.append(request.url) if request.url.startswith("http") else None)
    page.goto(write_report(project).as_uri())
    assert noise == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    for details in page.query_selector_all("details"):
        details.evaluate("element => element.open = true")
    boxes: list[Any] = [figure.bounding_box() for figure in page.query_selector_all("figure svg")]
    assert len(boxes) == 6
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert all(box["width"] > 280 and box["height"] > 150 and box["x"] + box["width"] <= width for box in boxes)
    assert page.evaluate(CONTRAST) >= 4.5


def test_the_overview_leads_to_each_experiment_by_keyboard(plan: Plan, project: Project, page: Page) -> None:
    evaluate_experiment(project, plan(*TINY))
    page.goto(write_report(project).as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#fit"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/index.html#fit")  # a key press does not wait for the navigation
    assert page.evaluate("location.hash") == "#fit"


def test_printed_report_fits_the_page(plan: Plan, project: Project, browser: Browser) -> None:
    evaluate_experiment(project, plan("-m", *TINY, "model.width=3,20"))
    page = browser.new_page(viewport={"width": 680, "height": 1009}, color_scheme="light")  # A4 without its margins
    page.emulate_media(media="print")
    page.goto(write_report(project).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    table: Any = page.query_selector(".overview")
    assert table.bounding_box()["y"] < 300  # right below the title, not on the next page
    pages = page.pdf(format="A4").count(b"/Type /Page\n")
    assert pages in (3, 4)  # the overview, and a page or two for the experiment, one for that without results
    page.close()
