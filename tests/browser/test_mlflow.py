"""MLflow's pages of the embedded store, opened by `piecewise ui` after a sweep."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import expect_run, new_page
from piecewise.cli import main
from piecewise.project import Project
from small_project import TINY

pytestmark = pytest.mark.slow


@pytest.fixture
def address(project: Project) -> Iterator[str]:
    """The address of the sweep's first run, served by `piecewise ui`."""
    assert main(["train", "-m", *TINY[:-1], "figures=all", "model.width=3,5"]) == 0
    (place,) = (project / "runs").glob("2*")
    command = [sys.executable, "-m", "piecewise", "ui", f"{place.name}/0000", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.search(r"http\S+", process.stdout.readline())
    assert found is not None
    yield found.group()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with new_page(browser) as page:
        yield page


def _open(page: Page, address: str) -> None:
    """Open a page, trying again until the server listens."""
    for _ in range(100):
        try:
            page.goto(address)
            return
        except Exception as error:
            if "ERR_CONNECTION_REFUSED" not in str(error):
                raise
            page.wait_for_timeout(300)
    pytest.fail(f"{address} did not answer")


def test_pages_show_run_sweep_and_model_and_load_nothing_from_elsewhere(address: str, page: Page) -> None:
    requested: list[str] = []
    server, _, path = address.partition("/#/")
    page.on("request", lambda request: requested.append(request.url))
    _open(page, address)
    expect(page.get_by_text("model.width=3").first).to_be_visible()
    expect_run(page, address)

    experiment = path.split("/")[1]
    page.goto(f"{server}/#/experiments/{experiment}/runs")
    expect(page.get_by_text("sweep of 2").first).to_be_visible()
    page.goto(f"{server}/#/experiments/{experiment}/models")
    expect(page.get_by_text("model").first).to_be_visible()
    page.goto(f"{server}/#/experiments")
    expect(page.get_by_text("curve_1d-shallow").first).to_be_visible()
    expect(page.get_by_text("Default", exact=True)).to_have_count(0)
    assert [url for url in requested if url.startswith("http") and not url.startswith(server)] == []
