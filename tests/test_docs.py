"""Documents keep to the code: generated tables, keyed draws, names, words, and every example runs."""

import ast
import importlib
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import renew
from registries import registering

from mpbf_abm.parameters import GROUPS, PATHS, schema

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mpbf_abm"
ODD = ROOT / "docs" / "odd.md"
GLOSSARY = ROOT / "docs" / "glossary.md"
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
# Pages that a person writes; some pages of results are written whole by a command.
WRITTEN = [p for p in DOCUMENTS if renew.PAGES.get(p.name, (None,))[0] is not renew.copied]
WRITTEN += [
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("experiments/**/*.md")),
    *sorted(ROOT.glob("analysis/**/README.md")),
]

ELEMENTS = (
    "1. Purpose and patterns",
    "2. Entities, state variables, and scales",
    "3. Process overview and scheduling",
    "4. Design concepts",
    "5. Initialization",
    "6. Input data",
    "7. Submodels",
)
CONCEPTS = (
    "Basic principles",
    "Emergence",
    "Adaptation",
    "Objectives",
    "Learning",
    "Prediction",
    "Sensing",
    "Interaction",
    "Stochasticity",
    "Collectives",
    "Observation",
)
DRAWERS = {
    "uniform",
    "normal",
    "normal32",
    "exponential",
    "generator",
    "clocks",
    "family_clocks",
    "keyed",
    "random_field",
}
RECORD_DRAWERS = {"record_uniform", "record_normal"}
OUTSIDE = ("validation.", "calibration.")  # measurements made on a space or a model, never within a run


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def table_after(heading: str, first: str) -> list[list[str]]:
    """Cells of the first table under a heading of the ODD whose header begins with a word."""
    text = ODD.read_text(encoding="utf-8").split(f"### {heading}\n")[1]
    rows = text.split(f"\n| {first} |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def code_names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# --------------------------------------------------------------------------- generated tables


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_generated_tables_are_up_to_date(path: Path):
    assert renew.main([str(path), "--check"]) == 0, f"run: python docs/renew.py {name(path)}"


def test_the_odd_shows_every_generated_table():
    shown = renew.OPENING.findall(ODD.read_text(encoding="utf-8"))
    assert {*shown} == renew.TABLES.keys() - {"results"}  # has a page


def test_drift_is_reported_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- generated:phases -->\nold\n<!-- /generated -->\nb\n", encoding="utf-8")
    assert renew.main([str(page), "--check"]) == 3
    assert "out of date" in capsys.readouterr().err
    assert "old" in page.read_text(encoding="utf-8")
    assert renew.main([str(page)]) == 0
    assert renew.main([str(page), "--check"]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("a\n")
    assert text.endswith("b\n")
    assert "assimilate" in text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<!-- generated:phase -->\n<!-- /generated -->", "did you mean 'phases'"),
        ("<!-- generated:phases -->\n", "needs one"),
        ("<!-- /generated -->\n", "needs one"),
    ],
)
def test_blocks_that_cannot_be_rendered_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, fault: str
):
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    assert renew.main([str(page)]) == 2
    assert fault in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == text


def test_a_missing_document_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert renew.main([str(tmp_path / "none.md")]) == 2
    assert "none.md" in capsys.readouterr().err


@pytest.mark.parametrize("row", schema(), ids=lambda row: row["path"])
def test_every_parameter_says_what_it_is(row: dict[str, str]):
    for part in ("help", "unit", "source", "allowed"):
        assert str(row[part]).strip(), f"{row['path']} has no {part}"


# --------------------------------------------------------------------------- the model description


def test_the_odd_has_its_seven_elements_and_eleven_concepts():
    text = re.sub(r"```.*?```", "", ODD.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == ELEMENTS
    concepts = text.split("## 4. Design concepts\n")[1].split("\n## ")[0]
    assert tuple(re.findall(r"^### (.+)$", concepts, re.MULTILINE)) == CONCEPTS


def test_submodel_headings_name_code_that_exists():
    headings = re.findall(r"^### (7\.\d+ .+)$", ODD.read_text(encoding="utf-8"), re.MULTILINE)
    assert [h.split()[0] for h in headings] == [f"7.{i + 1}" for i in range(len(headings))]
    for heading in headings:
        homes = re.findall(r"`([\w/]+)\.py`: ([^;)]+)", heading)
        assert homes, f"'{heading}' names no module"
        for home, functions in homes:
            module = importlib.import_module(f"mpbf_abm.{home.replace('/', '.')}")
            missing = [f for f in code_names(functions) if not hasattr(module, f)]
            assert not missing, f"'{heading}': {home}.py has no {', '.join(missing)}"


def is_code(word: str) -> bool:
    """Whether a dotted word is a file or module of the package, or a function of one."""
    head, _, tail = word.rpartition(".")
    if tail == "py" or (PACKAGE / f"{word.replace('.', '/')}.py").exists():
        return True
    return (PACKAGE / f"{head}.py").exists() and hasattr(importlib.import_module(f"mpbf_abm.{head}"), tail)


def test_parameters_named_in_documents_exist():
    drawn = {
        code_names(row[0])[0] for first in ("decision", "record decision") for row in table_after("Keyed draws", first)
    }
    pattern = re.compile(rf"`((?:{'|'.join(GROUPS)})\.[a-z_]+)`")
    for path in DOCUMENTS:
        found = set(pattern.findall(path.read_text(encoding="utf-8")))
        unknown = {word for word in found - set(PATHS) - drawn if not is_code(word)}
        assert not unknown, f"{name(path)} names {unknown}"


def test_no_document_speaks_of_places_outside_the_repository():
    for path in DOCUMENTS:
        assert not re.search(r"/work/|/tmp/|/home/|model\.md|architecture\.md", path.read_text(encoding="utf-8"))


# --------------------------------------------------------------------------- keyed draws


@cache
def all_calls() -> list[tuple[str, str, ast.Call]]:
    """Every call in the package: module, enclosing function, call."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        home = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            found += [(home, function.name, call) for call in ast.walk(function) if isinstance(call, ast.Call)]
    return found


def calls(names: set[str]) -> Iterator[tuple[str, str, ast.Call]]:
    """Calls of some functions in the package: module, enclosing function, call."""
    for home, function, call in all_calls():
        if getattr(call.func, "attr", getattr(call.func, "id", "")) in names:
            yield home, function, call


def decision(argument: ast.expr) -> str | None:
    """Decision name written in an argument, with * for what is filled in."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    if isinstance(argument, ast.Call) and getattr(argument.func, "id", "") == "named":
        return decision(argument.args[0])  # and the number of a property
    if isinstance(argument, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "*" for part in argument.values)
    return None


def decisions_in_code(drawers: set[str]) -> dict[str, str]:
    """Decision names that are passed to some functions, with where it happens."""
    found = {}
    for home, function, call in calls(drawers):
        if home.startswith(("evidence.facts.", "evidence.calibration")):
            continue  # measurements on a community, not rules of it
        for text in filter(None, map(decision, call.args)):
            if re.fullmatch(r"[a-z][a-z_]*(\.[a-z_*0-9]+)+", text):
                drawn = re.sub(r"\.\d+(?=\.|$)", ".*", text)
                keyed = getattr(call.func, "id", "") == "keyed"
                found[f"{drawn}.*" if keyed else drawn] = f"{home}.{function}"
    return found


@pytest.mark.parametrize(
    ("first", "drawers", "fewest"), [("decision", DRAWERS, 30), ("record decision", RECORD_DRAWERS, 8)]
)
def test_every_keyed_draw_is_in_its_table_and_every_entry_in_the_code(first: str, drawers: set[str], fewest: int):
    listed = [re.sub(r"\{\w+\}", "*", code_names(row[0])[0]) for row in table_after("Keyed draws", first)]
    assert len(listed) == len(set(listed)), "a decision is listed twice"
    code = decisions_in_code(drawers)
    assert len(code) > fewest, "the search for decision names finds too little"
    missing = {d: where for d, where in code.items() if d not in listed and not d.startswith(OUTSIDE)}
    assert not missing, "draws that docs/odd.md does not list"
    assert not set(listed) - set(code), "draws that docs/odd.md lists and nobody makes"
    strayed = {
        d: where
        for d, where in code.items()
        if d.startswith(OUTSIDE) != where.startswith(("evidence.facts.", "evidence.calibration"))
    }
    assert not strayed, "names of measurements outside mpbf_abm/evidence/facts, or other names within it"


def test_records_are_hashed_by_named_decisions_only():
    loose = {f"{home}.{function}" for home, function, _ in calls({"hash_uniform", "hash_normal"}) if home != "streams"}
    assert not loose, "draw by Streams.record_uniform or record_normal"
    unnamed = {f"{home}.{function}" for home, function, call in calls(RECORD_DRAWERS) if not decision(call.args[0])}
    assert not unnamed, "the decision name is to be written where it is drawn"


# --------------------------------------------------------------------------- words


# Words of a private dialect as patterns, and what the field says.
PRIVATE = {
    r"told": "said, reported, distinguished",
    r"nobody|no one|somebody|someone|everybody|anybody": "who it is: no agent, a trainer, all models",
    r"of (?:one|a user)'s own|of (?:his|her|its|their|your|our) own|one's own": "own, custom, separate",
    r"foret(?:ell\w*|old)|foresee\w*|foreseen": "predict",
    r"complete or not at all": "atomic",
    r"besides": "also",
    r"in truth": "in fact",
    r"knobs?": "parameter",
    r"batter(?:y|ies)": "assessment",
    r"finds": "discoveries; discovers, detects",
    r"twins|twin runs?": "perturbed copy; the twin is the mean-field model",
    r"wrong rules?": "mutation test, injected fault",
    r"lean(?:s|ed|ing)?[ -]on|who leans": "depend on; dependency graph",
    r"books (?:balance|are|must)": "stock-flow balance",
    r"dull(?:est)?": "trivial, simplest",
    r"what (?:\w+ ){1,4}of what": "the field's noun",
}


def private_words(text: str) -> list[str]:
    """Words of the private dialect in a text, with their lines and what to say instead."""
    found = []
    for pattern, better in PRIVATE.items():
        for match in re.finditer(rf"\b(?:{pattern})\b".replace(" ", r"\s+"), text, re.IGNORECASE):
            found.append(f"line {text[: match.start()].count(chr(10)) + 1}: '{match.group()}' ({better})")
    return found


def prose(path: Path) -> str:
    """Text of a page on the same lines, without generated blocks, blocks of code and addresses of links; X for code."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match.group())

    text = re.sub(r"<!-- (\w+):[\w-]+ -->\n.*?<!-- /\1 -->", blank, path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for code in (r"(?ms)^ *```.*?^ *```", r"(?m)(?<=\n\n)(?: {4}.*\n)+", r"(?<=\])\([^)\n]*\)"):
        text = re.sub(code, blank, text)
    return re.sub(r"`[^`\n]+`", lambda m: "X".ljust(len(m.group())), text)


def sentences(text: str) -> list[str]:
    """Sentences of the prose of a page; an item of a list begins a new one."""
    lines = [line for line in text.splitlines() if not re.match(r"\s*(\||#|!\[|<!--)", line)]
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", "\n".join(lines))
    return [
        s for block in blocks for s in re.split(r"(?<=[.!?])[*)]*\s+(?=[*\"(\[]*[A-ZÀ-Þ0-9])", " ".join(block.split()))
    ]


def words(sentence: str) -> int:
    """Count the words of a sentence; numbers are none."""
    return sum(bool(re.search(r"[^\W\d_]", word)) for word in sentence.split())


def breakable(line: str) -> bool:
    """Whether a line has a place to break it: code and links have none within."""
    held = re.sub(r"!\[[^\]]*\]\([^)]*\)|`[^`]+`|\]\([^)]*\)", "x", line)
    return " " in re.sub(r"^\s*([-*]|\d+\.)?\s*", "", held).strip()


def test_private_words_are_seen():
    for text in (
        "It is TOLD.",
        "a rule of\none's own",
        "who leans on whom",
        "the knobs",
        "what came of what",
        "twin runs",
    ):
        assert private_words(text), text
    assert not private_words("the mean-field twin finds_x, toldless, a foretaste")
    assert len(private_words("knob and\nbattery")) == 2


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_pages_have_no_private_words(path: Path):
    assert not private_words(prose(path))


# A kind of figure that users ask for by its name, and the model that makes its study.
NAMED = ('"twins"', 'histories.twins"')


def test_docstrings_messages_and_comments_of_the_package_have_no_private_words():
    found = []
    for path in sorted((ROOT / "mpbf_abm").rglob("*.py")):
        kinds = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
        with path.open("rb") as file:
            texts = [(t.string, t.start[0]) for t in tokenize.tokenize(file.readline) if t.type in kinds]
        for text, line in texts:
            said = [] if text.endswith(NAMED) else private_words(text)
            found += [f"{path.name}:{line}: {word}" for word in said]
    assert not found


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_decimals_have_a_zero_before_their_point(path: Path):
    assert not re.findall(r".*(?<![\w.)\]/…])\.\d.*", prose(path))


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_lines_hold_120_characters(path: Path):
    shown = prose(path).splitlines()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        if len(line) > 120 and shown[number].strip() and not line.lstrip().startswith(("|", "#")):
            assert not breakable(line), f"{name(path)}:{number + 1} has {len(line)} characters"


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_sentences_have_at_most_25_words(path: Path):
    # Submodels of the model description are notation.
    said = sentences(prose(path).split("\n## 7. Submodels")[0])
    assert said
    assert not [s for s in said if words(s) > 25]


def test_readme_is_at_most_nine_kilobytes():
    assert (ROOT / "README.md").stat().st_size <= 9_000


def test_glossary_has_each_word_once():
    terms = re.findall(r"^- \*\*(.+?)\*\*:", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    # A word with two meanings, distinguished in brackets, is there twice.
    words = [re.sub(r"\s*\([^)]*\)", "", w).strip().casefold() for term in terms for w in term.split(",")]
    assert len(words) > 200
    assert sorted(words) == sorted(set(words))


def test_glossary_has_the_words_that_analyses_print():
    from mpbf_abm.evidence.assessments.atlas import ROWS, WORDS
    from mpbf_abm.model.run import HEADLINE
    from mpbf_abm.stats.robustness import criteria

    verdicts = ("better", "worse", "higher", "lower", "equivalent", "identical", "undecided")
    against = ("above", "below", "as null")
    indicators = (*HEADLINE, *(row.indicator for row in ROWS))
    short = ("VRF", "AF", "EF", "DAF", "HHI", "mu*", "sigma", "D0", "D1", "D2")
    printed = (*verdicts, *against, *WORDS, *criteria(0.5), *indicators, *short)
    text = GLOSSARY.read_text(encoding="utf-8").replace("\\*", "*").casefold()
    assert not [word for word in printed if not re.search(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", text)]


# --------------------------------------------------------------------------- examples


def examples(path: Path) -> list[tuple[int, str]]:
    """Python blocks of a document that are meant to run, with their line."""
    text = path.read_text(encoding="utf-8")
    found = []
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        before = text[: block.start()].rstrip()
        if not re.search(r"<!-- not run: [^>]+ -->$", before):
            found.append((text[: block.start()].count("\n") + 2, block.group(1)))
    return found


def with_examples():
    """Return documents with examples; the tutorial's, which take longest, wait for the night."""
    late = pytest.mark.nightly
    return [
        pytest.param(p, id=name(p), marks=late if p.parent.name == "tutorial" else ()) for p in DOCUMENTS if examples(p)
    ]


@pytest.mark.parametrize("path", with_examples())
def test_examples_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "example"}
    with registering():
        for line, source in examples(path):
            # Line numbers of a failure are those of the document.
            exec(compile("\n" * (line - 1) + source, name(path), "exec"), namespace)  # noqa: S102


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_between_documents_lead_somewhere(path: Path):
    def anchors(target: Path) -> set[str]:
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings}

    for link in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", path.read_text(encoding="utf-8")):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{name(path)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{name(path)} links to {link}"


def test_decisions_are_numbered_in_order():
    numbers = [int(p.name[:4]) for p in sorted((ROOT / "docs" / "decisions").glob("0*.md"))]
    assert all(b == a + 1 for a, b in pairwise(numbers))
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs" / "decisions").glob("0*.md"):
        assert f"({path.name})" in index
        text = path.read_text(encoding="utf-8")
        assert all(f"**{part}.**" in text for part in ("Context", "Choice", "What it costs"))


# --------------------------------------------------------------------------- evidence


def test_every_piece_of_evidence_exists():
    from mpbf_abm.evidence.known.suite import ids

    text = (ROOT / "docs" / "trace.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\d)\.", text, re.MULTILINE) == list("12345678")
    known, named = set(ids()), 0
    for word in re.findall(r"`([^`\n]+)`", text.split("## 1.")[1]):
        if re.fullmatch(r"[A-Z]\d+", word):
            assert word in known, word
        else:
            path, _, test = word.partition("::")
            assert (ROOT / path).exists(), word
            assert not test or f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), word
        named += 1
    assert named > 60
