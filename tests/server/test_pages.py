"""The server's pages in a browser: they require the login, and show what `piecewise ui` shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from browsing import expect_run, new_page
from piecewise.cli import main
from piecewise.journal.run_folder import RunFolder
from piecewise.tracking.store.open import open_store
from running_server import Server
from small_project import TINY
from stored_runs import run_of

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def run(server: Server, project: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run that the server has recorded."""
    known = server.read_json("credentials")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", known["username"])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", known["password"])
    assert main(["train", *TINY[:-1], "tracking=server", f"tracking.uri={server.uri}", "model.width=5"]) == 0
    assert main(["sync"]) == 0
    (path,) = project.root.glob("runs/*/journal.jsonl")
    return run_of(open_store(server.uri, project), RunFolder.at(path.parent))


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A browser page, logged in through the browser's dialog."""
    known = server.read_json("credentials")
    who: Any = {"username": known["username"], "password": known["password"], "origin": server.uri}
    with new_page(browser, http_credentials=who) as page:
        yield page


def test_nothing_is_shown_without_the_password(server: Server, browser: Browser) -> None:
    context = browser.new_context()
    with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):  # the login dialog is not answered
        context.new_page().goto(server.uri)
    context.close()
    context = browser.new_context(http_credentials={"username": "admin", "password": "not the password"})
    answer = context.new_page().goto(server.uri)
    assert answer is not None
    assert answer.status == 401
    assert "You are not authenticated" in answer.text()
    context.close()


def test_the_pages_show_runs_and_load_nothing_from_elsewhere(server: Server, page: Page, run: Any) -> None:
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{server.uri}/#/experiments")
    expect(page.get_by_text("curve_1d-shallow").first).to_be_visible()

    experiment = f"{server.uri}/#/experiments/{run.info.experiment_id}"
    page.goto(f"{experiment}/runs")
    expect(page.get_by_text(run.info.run_name).first).to_be_visible()

    address = f"{experiment}/runs/{run.info.run_id}"
    page.goto(address)
    expect_run(page, address)
    assert [url for url in requested if url.startswith("http") and not url.startswith(server.uri)] == []
