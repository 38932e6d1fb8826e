"""Numbers and untrusted text as Markdown for GitHub."""

from __future__ import annotations

import hashlib
import html
import math
import re
from collections.abc import Container, Sequence

import tabulate

MISSING = "—"
"""Placeholder for a missing value in a cell."""

# Otherwise column widths depend on whether the package wcwidth is installed.
tabulate.WIDE_CHARS_MODE = False

_MARKUP = re.compile(r"[&<>|`*\[\]\\~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")


def escape(text: str) -> str:
    """Text escaped for a table cell or list entry.

    Uses HTML entities, which are no markup in Markdown or HTML; line breaks and other control characters become spaces.
    """
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", printable(text))


def printable(text: str) -> str:
    """Untrusted text for one line of a terminal: without control characters and repeated spaces."""
    return " ".join(without_controls(text).split())


def without_controls(text: str) -> str:
    """Untrusted text with control characters, which a terminal might execute, and line breaks replaced by spaces."""
    return "".join(character if character.isprintable() else " " for character in text)


def inert(text: str) -> str:
    """Untrusted text for a CSV cell: a leading apostrophe keeps spreadsheets from evaluating it as a formula.

    After https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def shorten(text: str, limit: int = 240) -> str:
    """Text truncated to one line of `limit` characters, with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def code_block(lines: Sequence[str]) -> str:
    """A fenced code block that its lines can't close; control characters become spaces."""
    text = "\n".join(without_controls(line) for line in lines)
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 0)
    return f"{fence}text\n{text}\n{fence}"


def details(summary: str, content: str) -> str:
    """A collapsible part; blank lines make GitHub render the Markdown inside."""
    return f"<details>\n<summary>{summary}</summary>\n\n{content}\n\n</details>"


def part(title: str, *blocks: str) -> str:
    """A part of a page with its heading."""
    return "\n\n".join([f"## {title}", *blocks])


def contents(blocks: Sequence[str], level: int = 2) -> str:
    """A table of contents: the headings of one level in a page's blocks, linked by GitHub's anchors."""
    titles = [found[1] for block in blocks for found in re.finditer(rf"^{'#' * level} (.+)$", block, re.MULTILINE)]
    plain = [re.sub(r"[^\w -]", "", html.unescape(title).lower()).replace(" ", "-") for title in titles]
    anchors = [
        f"{name}-{before}" if (before := plain[:place].count(name)) else name for place, name in enumerate(plain)
    ]
    return "\n".join(f"- [{title}](#{anchor})" for title, anchor in zip(titles, anchors, strict=True))


def protocol(page: str) -> str:
    """A link to the protocol in docs/, for the end of a caption on a machine's page."""
    return f"[How this is measured](../../docs/{page})."


def file_name(text: str, identity: str | None = None) -> str:
    """A text as part of a file name: unchanged if it is safe, else cleaned and made unique by a digest.

    Args:
        text: a name, of any characters.
        identity: what the digest is taken of, if the text alone is ambiguous.
    """
    plain = re.sub(r"[^0-9A-Za-z_.-]+", "-", text)[:60].strip("-.")
    if plain == text and identity is None:
        return plain
    digest = hashlib.sha256((identity or text).encode("utf-8", "replace")).hexdigest()[:8]
    return f"{plain}-{digest}"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, words: Container[str] = ()) -> str:
    """A Markdown table of formatted cells: the first column and those in `words` left-aligned, the rest right."""
    align = ["left" if index == 0 or header in words else "right" for index, header in enumerate(headers)]
    return tabulate.tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=align)


def number(value: float | None, decimals: int = 0) -> str:
    """A number with thousands separators, or a dash if it is missing."""
    return MISSING if value is None else f"{value:,.{decimals}f}"


def significant(value: float | None, digits: int = 3) -> str:
    """A number to `digits` significant digits with thousands separators: 0.123, 1.23, 12.3, 123, 1,234."""
    if value is None:
        return MISSING
    return f"{value:,.{max(0, digits - len(f'{abs(value):.0f}'))}f}" if abs(value) >= 1 else f"{value:.{digits}g}"


def rounded(value: float, half_width: float | None) -> str:
    """A positive number down to the second significant digit of its interval's half-width, and to two of its own.

    Where the half-width is unknown, two of its own are all; where there is next to none, three or all before the point.
    """
    own = math.floor(math.log10(value))
    places = 1 - own
    if half_width is not None:
        most = max(0, 2 - own)
        reach = 1 - math.floor(math.log10(half_width)) if half_width > 0 else most
        places = max(places, min(reach, most))
    return number(round(value, places), max(0, places))
