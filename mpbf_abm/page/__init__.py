"""The page: explore a community and a what-if in the browser (``mpbf explore``, extra ``ui``)."""

import tomllib
from pathlib import Path
from typing import Any

import mpbf_abm.figures  # noqa: F401  (before matplotlib)

WORDS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("words.toml").read_text("utf-8"))
