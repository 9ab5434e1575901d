"""Sphinx settings of the documentation: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from mpbf_abm import provenance

project = "mpbf_abm"
author = "The mpbf_abm developers"
copyright = "2026, the mpbf_abm developers"
release = provenance.version()

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4
# Pages of the repository that lie outside docs/ and are part of the site, too.
ADOPTED = {
    "README.md": "readme",
    "experiments/README.md": "experiments",
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "analysis/README.md": "analysis",
}

html_theme = "furo"
html_title = f"mpbf_abm {release}"
html_copy_source = False
html_show_sphinx = False
html_static_path: list[str] = []

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings give shapes and units beside the types
autosummary_generate = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Fields", "params_style")]  # of what is validated, from its declarations
# The shapes in types, such as (n,), look like names of things.
suppress_warnings = ["ref.python"]

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#|mailto:)([^)\s#]+)(#[^)\s]*)?\)")


def within(page: str, text: str) -> str:
    """Let the links of a page lead to pages of the site; files that are no page stay as words."""
    home = PurePosixPath("docs") / PurePosixPath(page).parent

    def lead(match: re.Match[str]) -> str:
        words, target, anchor = match.group(1), match.group(2), match.group(3) or ""
        path = _plain(home / target)
        known = ADOPTED.get(path)
        up = "../" * (len(home.parts) - 1)
        if known is not None:
            return f"[{words}]({up}{known}.md{anchor})"
        if path.startswith("docs/") and (ROOT / path).is_file():
            return match.group(0)
        return words

    return LINK.sub(lead, text)


def _plain(path: PurePosixPath) -> str:
    """Resolve ``..`` in a path."""
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def adopt(app: Any, docname: str, source: list[str]) -> None:  # noqa: ARG001 (Sphinx passes it)
    """Take in pages from outside docs/, and mend the links of all."""
    outside = {name: path for path, name in ADOPTED.items()}
    if docname in outside:
        path = outside[docname]
        text = (ROOT / path).read_text(encoding="utf-8")
        up = PurePosixPath(path).parent
        # Their links are seen from their own folder.
        text = LINK.sub(lambda m: f"[{m.group(1)}](../{up / m.group(2)}{m.group(3) or ''})", text)
        text = text.replace("](docs/images/", "](images/")
        source[0] = text
    source[0] = within(docname, source[0])


def setup(app: Any) -> None:
    """Register the hook."""
    app.connect("source-read", adopt)
