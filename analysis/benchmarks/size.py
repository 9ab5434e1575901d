"""Size of the package: files, code lines, statements, cyclomatic complexity, long functions.

    python -m analysis.benchmarks.size

Code lines are those of a copy that ``ruff format`` has written; docstrings, comments and blank lines do not count.
Statements are those of the syntax tree without docstrings. Complexity is that of radon, averaged over functions,
methods and classes.
"""

from __future__ import annotations

import ast
import io
import shutil
import subprocess
import sys
import tempfile
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "mpbf_abm"
LONG = 60  # code lines of a function
TARGETS = {"files": 160, "code lines": 25_000, "statements": 18_500, "mean complexity": 3.2, "long functions": 0}
SILENT = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(tree: ast.Module) -> list[ast.stmt]:
    """Return the docstrings of a module and of what it defines."""
    return [
        n.body[0] for n in ast.walk(tree) if isinstance(n, Documented) and ast.get_docstring(n, clean=False) is not None
    ]


def code_lines(text: str, tree: ast.Module) -> set[int]:
    """Return the numbers of lines that hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            lines |= {*range(token.start[0], token.end[0] + 1)}
    for node in docstrings(tree):
        lines -= {*range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return lines


def complexity(text: str) -> list[int]:
    """Return the cyclomatic complexity of every function, method and class."""
    from radon.complexity import cc_visit

    return [block.complexity for block in cc_visit(text)]


def measure(folder: Path) -> tuple[dict[str, float], dict[str, tuple[int, int, int]], list[str]]:
    """Measure a folder that is formatted.

    Returns
    -------
    totals, by room (files, code lines, statements), functions that are too long
    """
    rooms: dict[str, tuple[int, int, int]] = {}
    long, blocks = [], []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        lines = code_lines(text, tree)
        statements = sum(isinstance(n, ast.stmt) for n in ast.walk(tree)) - len(docstrings(tree))
        for n in ast.walk(tree):
            if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef):
                count = len(lines & {*range(n.lineno, (n.end_lineno or n.lineno) + 1)})
                long += [f"{path.relative_to(folder)}: {n.name}, {count} lines"] if count > LONG else []
        blocks += complexity(text)
        room = path.relative_to(folder).parts[0]
        files, code, all_statements = rooms.get(room, (0, 0, 0))
        rooms[room] = files + 1, code + len(lines), all_statements + statements
    files, code, all_statements = (sum(parts) for parts in zip(*rooms.values(), strict=True))
    totals = {
        "files": files,
        "code lines": code,
        "statements": all_statements,
        "mean complexity": sum(blocks) / len(blocks),
        "long functions": len(long),
    }
    return totals, rooms, long


def main() -> int:
    """Print the size of the package; returns 3 if a target is missed."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / PACKAGE
        shutil.copytree(ROOT / PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", place)
        subprocess.run(  # noqa: S603
            [sys.executable, "-m", "ruff", "format", "--quiet", str(copy)], check=True
        )
        totals, rooms, long = measure(copy)
    for name, target in TARGETS.items():
        print(f"{name:16} {totals[name]:>9,.6g}   at most {target:,}")
    print(f"\n{'room':16} {'files':>6} {'code':>7} {'statements':>11}")
    for room, (files, code, statements) in sorted(rooms.items(), key=lambda item: -item[1][1]):
        print(f"{room:16} {files:6} {code:7,} {statements:11,}")
    print("\n".join(["", *long]) if long else "")
    return 3 if any(totals[name] > target for name, target in TARGETS.items()) else 0


if __name__ == "__main__":
    sys.exit(main())
