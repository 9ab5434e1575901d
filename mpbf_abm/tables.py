"""Tables as Markdown, for pages and reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[int] = ()) -> str:
    """A Markdown table, a line for each row; bars inside cells are escaped, columns `right` are aligned to the right."""
    rule = ["---:" if i in right else "---" for i in range(len(head))]
    lines = [map(_cell, head), rule, *(map(_cell, row) for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cell(value: Any) -> str:
    return " ".join(str(value).splitlines()).replace("|", "\\|").strip()
