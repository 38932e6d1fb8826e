"""How much code a user would write: lines of source that are neither blank, nor comment, nor docstring."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def code_lines(source: str, names: Iterable[str]) -> int:
    """Lines of code in these top-level functions and classes of a module, decorators included.

    Raises:
        ValueError: the module has no function or class of a name.
    """
    tree = ast.parse(source)
    found = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    if unknown := set(names) - set(found):
        raise ValueError(f"there is no function or class {', '.join(sorted(unknown))}; there are: {', '.join(found)}")
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    return sum(len((code - _docstrings(node)) & _span(node)) for node in (found[name] for name in names))


def _span(node: ast.FunctionDef | ast.ClassDef) -> set[int]:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return set(range(first, (node.end_lineno or first) + 1))


def _docstrings(tree: ast.AST) -> set[int]:
    """Lines of the docstrings of a function or class and of those inside it."""
    lines = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            lines |= set(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    return lines
