"""Numbers and foreign text as markdown shows them on GitHub."""

from __future__ import annotations

import hashlib
import html
import math
import re
from collections.abc import Container, Sequence

import tabulate

MISSING = "—"
"""What stands in a cell for a number that there is none of."""

# Otherwise widths, and so bytes, depend on whether another package (wcwidth) happens to be installed.
tabulate.WIDE_CHARS_MODE = False

_MARKUP = re.compile(r"[&<>|`*\[\]\\~$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")


def escape(text: str) -> str:
    """Text that shows as itself in a table cell or list entry, whatever characters it is made of.

    Entities, since neither markdown nor HTML takes what they stand for as markup; line breaks and other control
    characters become spaces.
    """
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", printable(text))


def printable(text: str) -> str:
    """Foreign text for one line of a terminal: as `without_controls`, and no space beside another."""
    return " ".join(without_controls(text).split())


def without_controls(text: str) -> str:
    """Foreign text with a space for each control character, which could act on a terminal, and for each line break."""
    return "".join(character if character.isprintable() else " " for character in text)


def inert(text: str) -> str:
    """Foreign text for a cell of a CSV file: an apostrophe keeps a spreadsheet from taking it for a formula.

    After https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def shorten(text: str, limit: int = 240) -> str:
    """The beginning of a text, ended by an ellipsis where more followed; on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def code_block(lines: Sequence[str]) -> str:
    """Lines as they are, in a fence that they can't close; control characters in them become spaces."""
    text = "\n".join(without_controls(line) for line in lines)
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 0)
    return f"{fence}text\n{text}\n{fence}"


def details(summary: str, content: str) -> str:
    """A part that opens on a click; the blank lines make GitHub read markdown inside it."""
    return f"<details>\n<summary>{summary}</summary>\n\n{content}\n\n</details>"


def part(title: str, *blocks: str) -> str:
    """A part of a page below a heading of its own."""
    return "\n\n".join([f"## {title}", *blocks])


def contents(blocks: Sequence[str], level: int = 2) -> str:
    """A list of the headings of a level among a page's blocks, each with a link as GitHub makes it."""
    titles = [found[1] for block in blocks for found in re.finditer(rf"^{'#' * level} (.+)$", block, re.MULTILINE)]
    plain = [re.sub(r"[^\w -]", "", html.unescape(title).lower()).replace(" ", "-") for title in titles]
    anchors = [
        f"{name}-{before}" if (before := plain[:place].count(name)) else name for place, name in enumerate(plain)
    ]
    return "\n".join(f"- [{title}](#{anchor})" for title, anchor in zip(titles, anchors, strict=True))


def protocol(page: str) -> str:
    """A link for the end of a caption: to a page of docs/, as seen from a machine's folder in results/."""
    return f"[How this is measured](../../docs/{page})."


def file_name(text: str, identity: str | None = None) -> str:
    """A text as part of a file's name: itself where it is plain, else with a digest that keeps it apart from others.

    Args:
        text: a name, of any characters.
        identity: what it stands for, where the text doesn't say all of it.
    """
    plain = re.sub(r"[^0-9A-Za-z_.-]+", "-", text)[:60].strip("-.")
    if plain == text and identity is None:
        return plain
    digest = hashlib.sha256((identity or text).encode("utf-8", "replace")).hexdigest()[:8]
    return f"{plain}-{digest}"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, words: Container[str] = ()) -> str:
    """A markdown table of finished cells: the first column and those named by `words` to the left, numbers right."""
    align = ["left" if index == 0 or header in words else "right" for index, header in enumerate(headers)]
    return tabulate.tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=align)


def number(value: float | None, decimals: int = 0) -> str:
    """A number with a thousands separator, or the mark of a missing one."""
    return MISSING if value is None else f"{value:,.{decimals}f}"


def significant(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits and a thousands separator: 0.123, 1.23, 12.3, 123, 1,234."""
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
