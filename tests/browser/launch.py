"""Start the Chromium that is on this machine, without any network of its own.

`python -m tests.browser.launch` says where it is, or what to install.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium_path() -> Path:
    """The browser: what FMNIST_ZOO_CHROMIUM names, else the first of `NAMES` on the path.

    Raises:
        RuntimeError: there is none; says what to install.
    """
    named = os.environ.get("FMNIST_ZOO_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if not found or not Path(found).is_file():
        missing = f"FMNIST_ZOO_CHROMIUM={named} is no file" if named else f"none of {', '.join(NAMES)} is on the path"
        raise RuntimeError(
            f"the tests of the page need Chromium, and {missing}. On Debian or Ubuntu: sudo apt-get install chromium. "
            "Elsewhere: install Chromium or Chrome and name its program in FMNIST_ZOO_CHROMIUM"
        )
    return Path(found)


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser (Playwright's `Browser`) with an empty profile, ended with the context.

    Raises:
        RuntimeError: Chromium or Playwright is missing; says what to install.
    """
    path = chromium_path()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise RuntimeError("the tests of the page need Playwright: tox -e browser brings it") from error
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    try:
        print(chromium_path())
    except RuntimeError as error:
        sys.exit(str(error))
