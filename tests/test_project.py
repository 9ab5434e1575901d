"""The repository keeps its own rules: lint, types, import floors, metadata, versions, and a site that builds.

All of it is in one file, so that one process runs these commands, each once, while the others go on.
"""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import mpbf_abm

ROOT = Path(__file__).resolve().parents[1]

# import-linter has no `python -m` form; this is its console script.
IMPORT_LINTER = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"

CHECKS = {
    "ruff check": ["-m", "ruff", "check", "."],
    "ruff format": ["-m", "ruff", "format", "--diff", "."],
    "mypy --strict": ["-m", "mypy", "--strict"],
    "import-linter": ["-c", IMPORT_LINTER],
    "CITATION.cff schema": [
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.citation-file-format",
        "CITATION.cff",
    ],
}


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run Python with `arguments` at the root of the repository."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.mark.parametrize("name", CHECKS)
def test_check_passes(name: str):
    done = run(CHECKS[name])
    if done.returncode != 0:
        pytest.fail(f"{name} ended with {done.returncode}:\n{done.stdout}{done.stderr}", pytrace=False)


def test_repo_review_has_no_failures():
    done = run(["-m", "repo_review", ".", "--format", "json"])
    assert done.stdout.startswith("{"), f"repo-review gave no report:\n{done.stdout}{done.stderr}"
    checks = json.loads(done.stdout)["checks"]
    passed = [code for code, check in checks.items() if check["result"] is True]
    failed = {code: check["description"] for code, check in checks.items() if check["result"] is False}
    assert not failed
    assert len(passed) > 30, "repo-review ran without the checks of sp-repo-review"


def test_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (cited,) = re.findall(r"^version: (\S+)$", citation, re.MULTILINE)
    latest, *_ = re.findall(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)
    found = {
        "CITATION.cff": cited,
        "CHANGELOG.md": latest,
        "installed metadata": importlib.metadata.version("mpbf_abm"),
        "mpbf_abm.__version__": mpbf_abm.__version__,
    }
    assert found == dict.fromkeys(found, project["version"])


def test_release_date_is_the_same_in_citation_and_changelog():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (dated,) = re.findall(r"^## \[\d[^\]]*\] - (unreleased|\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)[:1]
    released = re.findall(r"^date-released: \"?([\d-]+)\"?$", citation, re.MULTILINE)
    assert (released or ["unreleased"]) == [dated]


def test_ci_runs_the_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    command = script[-1]
    assert any(line.startswith("export NIGHTLY=tenth") for line in script)
    for document in ("README.md", "CONTRIBUTING.md"):
        assert command in (ROOT / document).read_text(encoding="utf-8").splitlines(), f"{document} lacks: {command}"


# What has one definition: what gives a definition away in the source, and the files where it may stand.
DEFINED_ONCE = {
    "Student's interval": (
        r"\bstdtrit\b|\bt\.(ppf|isf|interval)\b|scipy\.stats import .*\bt\b",
        {"stats/estimates.py"},
    ),
    "Wilson's interval": (r"def \w*wilson|proportion_ci|proportion_confint", {"stats/estimates.py"}),
    # Draws and ranks are turned into normal ones by their quantile; a test of law tells its p value in sigmas.
    "an interval's normal quantile": (
        r"\bndtri\b|\bnorm\.(ppf|isf)\b|NormalDist",
        {"stats/estimates.py", "streams.py", "stats/concentration.py", "evidence/known/urns.py"},
    ),
    "a run": (r"class RunSpec", {"model/spec.py"}),
    # The docstring of a community has an example.
    "the beginning of a run": (r"(?<!class )\bCommunity\(", {"model/run.py", "model/community.py"}),
    # Stores of version 0.1 have ids of another form.
    "the id of a run": (r"def \w*run_id|def run_kind", {"model/spec.py", "studies/plan.py"}),
    "the check of a run": (r"is not before the end of a run at tick \{self\.ticks\}", {"model/spec.py"}),
    # A driver's engines, the page's sessions, and a benchmark of the pool itself.
    "a loop over many runs": (
        r"\b(?<!class )Pool\(",
        {
            "processes.py",
            "studies/driver.py",
            "studies/distributed.py",
            "page/desk.py",
            "../analysis/benchmarks/studies.py",
        },
    ),
    "a page writer": (r"index=False, lineterminator", {"outputs.py"}),
    "a finding": (r"class Finding", {"evidence/assessments/assessment.py"}),
    "a table as text": (r"\{\w+:[<>]\{", {"outputs.py"}),
    "a table as Markdown": (r"[\"']\| |[\"']-{3,}:?[\"']", {"outputs.py"}),
    "a table as HTML": (r"<table\b|<td\b", {"page/tabs.py"}),
    "the variance-reduction factor": (r"apart / together|def reduction", {"stats/paired.py"}),
}


@pytest.mark.parametrize("what", DEFINED_ONCE)
def test_what_has_one_definition_has_no_second(what: str):
    sign, places = DEFINED_ONCE[what]
    package = ROOT / "mpbf_abm"
    paths = [
        *package.rglob("*.py"),
        *(p for f in ("analysis", "docs", "experiments") for p in (ROOT / f).rglob("*.py")),
    ]
    holds = {p for p in paths if re.search(sign, p.read_text(encoding="utf-8"))}
    assert holds == {(package / place).resolve() for place in places}


def test_nothing_below_figures_names_a_module_of_theirs():
    """Also as a string, which import-linter does not see."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    floors = project["tool"]["importlinter"]["contracts"][0]["layers"]
    below = re.findall(r"\w+", " ".join(floors[floors.index("(figures)") + 1 :]))
    figures = "|".join(p.stem for p in (ROOT / "mpbf_abm" / "figures").glob("[a-z]*.py"))
    named = re.compile(rf"mpbf_abm\.figures|[\"'](figures\.)?({figures})[.:]\w")
    package = ROOT / "mpbf_abm"
    files = [p for p in package.rglob("*.py") if p.relative_to(package).with_suffix("").parts[0] in below]
    assert len(files) > 100
    assert not [p for p in files if named.search(p.read_text(encoding="utf-8"))]


def test_the_wheel_is_the_library_and_the_source_archive_the_repository():
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    def files(builder: Any) -> set[str]:
        return {Path(file.distribution_path).as_posix() for file in builder.recurse_included_files()}

    wheel, source = files(WheelBuilder(str(ROOT))), files(SdistBuilder(str(ROOT)))
    assert {name.split("/")[0] for name in wheel} == {"mpbf_abm"}
    assert {"mpbf_abm/py.typed", "mpbf_abm/evidence/known/baseline.json", "mpbf_abm/figures/of_histories.py"} <= wheel
    assert wheel < source
    named = {
        "analysis/paper/__main__.py",
        "analysis/paper/figures/fan.pdf",
        "tests/conftest.py",
        "tests/docking/naive.py",
        "docs/renew.py",
    }
    assert named <= source


def test_nothing_of_the_package_or_its_programs_imports_a_test():
    """Names of modules below tests/ are imported by no file of mpbf_abm, analysis or docs."""
    own = {p.stem for p in (ROOT / "tests").rglob("*.py")} | {"tests"}
    paths = [p for folder in ("mpbf_abm", "analysis", "docs") for p in (ROOT / folder).rglob("*.py")]
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & own, path


# --------------------------------------------------------------------------- the site

FETCHED = re.compile(
    r"""(?:<(?:script|img|iframe|source)[^>]*\ssrc|<link[^>]*\shref)=["'](?:https?:)?//|url\(["']?(?:https?:)?//|@import"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    trees, pages = str(out / "trees"), str(out / "html")
    done = run(["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", trees, "docs", pages])
    assert done.returncode == 0, done.stderr
    return out / "html"


@pytest.mark.nightly
def test_pages_ask_nothing_of_another_host(site: Path) -> None:
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(pages) > 40
    for page in pages:
        found = FETCHED.search(page.read_text(encoding="utf-8"))
        assert found is None, f"{page.relative_to(site)}: {found.group(0)}"


@pytest.mark.nightly
def test_every_page_of_the_repository_is_part_of_the_site(site: Path) -> None:
    made = {p.relative_to(site).with_suffix("").as_posix() for p in site.rglob("*.html")}
    wanted = {p.relative_to(ROOT / "docs").with_suffix("").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    assert wanted <= made
    quickstart = (site / "readme.html").read_text(encoding="utf-8")
    assert 'href="studies.html"' in quickstart
    assert 'src="_images/overview.png"' in quickstart
    assert "simulate" in (site / "api.html").read_text(encoding="utf-8")
