"""`python -m tests.browser.screenshot INDEX.HTML PICTURE.png`: a picture of the page, as in the README.

The page is that of `python -m benchmarks.report results --html`.
"""

import sys
from pathlib import Path

import tyro

from tests.browser.launch import chromium


def screenshot(
    page: tyro.conf.Positional[Path],
    picture: tyro.conf.Positional[Path],
    /,
    *,
    width: int = 1280,
    height: int = 900,
    dark: bool = False,
    at: str | None = None,
    whole: bool = False,
) -> int:
    """Write a picture of the page.

    Args:
        page: index.html.
        picture: the PNG to write.
        width: of the window, in pixels.
        height: of the window, in pixels.
        dark: as on a machine with a dark theme.
        at: the id of a part of the page to show, such as `confusion`.
        whole: the whole page, however long.

    Returns:
        The exit code: 0, or 2 where there is no page or no browser.
    """
    try:
        if not page.is_file():
            raise RuntimeError(f"{page} is no file; make it with python -m benchmarks.report DIR --html")
        with chromium() as browser:
            tab = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
            )
            tab.goto(page.resolve().as_uri())
            tab.evaluate("fmnistZooShown")
            if at is not None:
                tab.locator(f"#{at}").evaluate("part => part.scrollIntoView({behavior: 'instant'})")
            tab.screenshot(path=picture, full_page=whole)
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{picture}: {picture.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(screenshot, prog="python -m tests.browser.screenshot", description=__doc__))
