"""A page of known results in a real browser; a test fails where the page logs an error or asks for a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.report.__main__ import report
from fmnist_zoo.data import Dataset
from tests.browser.launch import chromium
from tests.browser.sample import put_results

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOCAL = ("file:", "data:", "blob:")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; an error that says what to install where it is missing, never a skip."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory, fashion_mnist: Dataset) -> Path:
    """index.html as the command writes it."""
    out = tmp_path_factory.mktemp("results")
    put_results(out, fashion_mnist)
    assert report(out, html=True) == 0
    return out / "index.html"


@pytest.fixture
def open_page(browser: Browser, page_file: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page, by default `page_file` on a desktop; options are those of a browser's context."""
    said: list[str] = []
    contexts: list[Any] = []

    def open_it(file: Path = page_file, *, width: int = 1280, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"uncaught: {error}"))
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}") or dialog.dismiss())
        page.on("request", lambda request: request.url.startswith(LOCAL) or said.append(f"network: {request.url}"))
        page.goto(file.as_uri())
        page.evaluate("fmnistZooShown")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """The page on a desktop."""
    return open_page()
