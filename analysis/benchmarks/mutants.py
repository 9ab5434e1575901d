"""Power of the fast tests: seeded random faults in the package, and the tests that detect them.

    python -m analysis.benchmarks.mutants --count 200 --seed 1

A mutant is a copy of the package with one small fault within a function: another comparison, sign, constant or
condition, or a call left out. Each is tried on the test files that run the function, cheapest first, until a test
fails; files that would take more than the budget of CPU seconds are not tried. The map of functions to test files is
made first, with a profiler, in one run of the tests, and kept in the folder.
"""

from __future__ import annotations

import argparse
import ast
import collections
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "mpbf_abm"
ROOMS = ("model", "learning", "studies")
# What checks the text of the repository, not what it does; what needs a browser, or minutes for each file.
LEFT_OUT = ("tests/test_project.py", "tests/test_docs.py", "tests/test_golden.py", "tests/explorer", "tests/faults")
COMPARED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
COMPUTED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Mod: ast.Add,
    ast.FloorDiv: ast.Mult,
}
Function = ast.FunctionDef | ast.AsyncFunctionDef
# Messages, types and checks of types are not computed with.
SILENT = ast.Raise | ast.Assert | ast.JoinedStr | ast.arguments | ast.AnnAssign
Edit = tuple[ast.expr | ast.stmt, str]


@dataclass(frozen=True)
class Mutant:
    """One fault: where it stands, what stood there, what stands there now, and the function's first line."""

    path: str
    function: int
    line: int
    before: str
    after: str
    text: str


def edits(node: ast.AST) -> list[Edit]:
    """Return the faults that one node allows, as nodes to replace and their new text."""
    new: ast.AST | None = None
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARED:
            new = ast.Compare(node.left, [COMPARED[type(op)]()], node.comparators)
        case ast.BinOp(op=op) if type(op) in COMPUTED and not isinstance(node.left, ast.Constant | ast.JoinedStr):
            new = ast.BinOp(node.left, COMPUTED[type(op)](), node.right)
        case ast.BoolOp(op=op):
            new = ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            new = node.operand
        case ast.Constant(value=bool()):
            new = ast.Constant(not node.value)
        case ast.Constant(value=int() | float() as value):
            new = ast.Constant(value + 1)
        case ast.IfExp():
            new = ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        case ast.If():
            return [(node.test, f"(not ({ast.unparse(node.test)}))")]
        case ast.Expr(value=ast.Call()):
            return [(node, "pass")]
    return [(node, f"({ast.unparse(new)})")] if isinstance(new, ast.expr) and isinstance(node, ast.expr) else []


def inner(node: ast.AST) -> list[ast.AST]:
    """Return the nodes of a function that are computed with, those of functions within it left out."""
    found = []
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, SILENT | Function | ast.ClassDef):
            found += [child, *inner(child)]
    return found


def mutants_of(path: Path) -> list[Mutant]:
    """Return every mutant of a module."""
    text = path.read_text(encoding="utf-8")
    data = text.encode()
    starts = np.cumsum([0, *(len(line) for line in data.splitlines(keepends=True))])
    found = []
    for function in (n for n in ast.walk(ast.parse(text)) if isinstance(n, Function)):
        first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
        for node, after in (edit for n in inner(function) for edit in edits(n)):
            begin, end = (
                int(starts[line - 1]) + offset
                for line, offset in ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
            )
            changed = (data[:begin] + after.encode() + data[end:]).decode()
            name = path.relative_to(ROOT / PACKAGE).as_posix()
            found.append(Mutant(name, first, node.lineno, data[begin:end].decode(), after, changed))
    return found


def call(folder: Path, arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, in one process."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def copied(folder: Path) -> Path:
    """Copy what the tests need to a folder, in place of an earlier copy."""
    for name in (PACKAGE, "tests", "analysis", "docs", "experiments"):
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored, dirs_exist_ok=True)
    for file in ("pyproject.toml", "README.md", "CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md", "noxfile.py"):
        shutil.copy(ROOT / file, folder)
    return folder


def functions_run(folder: Path) -> dict[str, tuple[float, set[tuple[str, int]]]]:
    """Return for each test file its CPU seconds and the functions it runs; made once, then read."""
    kept = folder / "map.json"
    if not kept.exists():
        place = copied(folder / "map")
        left = [f"--ignore={path}" for path in LEFT_OUT]
        done = call(place, ["-p", "analysis.benchmarks.functions_run", *left], FUNCTIONS_RUN=str(kept))
        if done.returncode:
            sys.exit(f"the tests fail without a fault:\n{done.stdout[-3000:]}")
    read = json.loads(kept.read_text(encoding="utf-8"))
    return {file: (took, {(path, line) for path, line in seen}) for file, (took, seen) in read.items()}


def tried(mutant: Mutant, place: Path, files: list[str], limit: float) -> str:
    """Return the test that notices a mutant, or nothing."""
    module = place / PACKAGE / mutant.path
    right = module.read_text(encoding="utf-8")
    try:
        module.write_text(mutant.text, encoding="utf-8")
        done = call(
            place,
            [
                "-x",
                "--no-header",
                "-o",
                f"faulthandler_timeout={limit:.0f}",
                "-o",
                "faulthandler_exit_on_timeout=true",
                *files,
            ],
        )
    finally:
        module.write_text(right, encoding="utf-8")
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return (failed or [f"exit code {done.returncode}"])[0][:160] if done.returncode else ""


def main() -> int:
    """Try seeded mutants and print those that no test notices."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="how many mutants (200)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the draw (1)")
    parser.add_argument("--budget", type=float, default=90.0, help="CPU seconds of tests for one mutant (90)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried at a time (2)")
    parser.add_argument("--folder", type=Path, default=Path("mutants"), help="where copies and results go")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    files = functions_run(folder)
    every = [m for room in ROOMS for path in sorted((ROOT / PACKAGE / room).glob("*.py")) for m in mutants_of(path)]
    order = np.random.default_rng(asked.seed).permutation(len(every))[: asked.count]
    places: collections.deque[Path] = collections.deque(copied(folder / f"copy{n}") for n in range(asked.jobs))

    def one(index: int) -> dict[str, object]:
        mutant, spent = every[index], 0.0
        chosen: list[str] = []
        for took, file in sorted((t, f) for f, (t, seen) in files.items() if (mutant.path, mutant.function) in seen):
            spent += took
            chosen += [file] if spent <= asked.budget or not chosen else []
        place = places.popleft()
        noticed = tried(mutant, place, chosen, 60 + 4 * asked.budget) if chosen else ""
        places.append(place)
        said = {"place": f"{mutant.path}:{mutant.line}", "before": mutant.before, "after": mutant.after}
        row = {**said, "files": len(chosen), "noticed": noticed}
        with (folder / f"seed{asked.seed}.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
        return row

    with ThreadPoolExecutor(asked.jobs) as pool:
        rows = list(pool.map(one, order))
    alive = [row for row in rows if not row["noticed"]]
    print(f"{len(every)} mutants of {', '.join(ROOMS)}; {len(rows)} tried, {len(rows) - len(alive)} noticed")
    print("\n".join(f"{row['place']}: {row['before']!r} -> {row['after']!r} ({row['files']} files)" for row in alive))
    return 0


if __name__ == "__main__":
    sys.exit(main())
