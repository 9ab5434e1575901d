"""Columns of tables, held against the page that explains them."""

import re
from functools import cache

from mpbf_abm.model.run import outcome_names
from mpbf_abm.outputs import descriptions
from mpbf_abm.stats.robustness import criteria
from mpbf_abm.studies.definition import BASELINE, StudyDefinition

ANALYSES = re.compile(r"(compare|robustness|sensitivity|discover|phase)-")  # before names of tables of a report
# What columns are named after in the studies that this process has made.
NAMES = {
    "<factor>": set(),
    "<arm>": {BASELINE},
    "<quantity>": set(),
    "<outcome>": set(),
    "<criterion>": {*criteria(0.0)},
}


def noted(init):
    """Note names of a study when it is made."""

    def made(study, **fields):
        init(study, **fields)
        NAMES["<factor>"].update(f.name for f in study.factors)
        NAMES["<arm>"].update(a.label for a in study.arms)
        NAMES["<quantity>"].update(study.series.of)
        NAMES["<outcome>"].update(study.outcomes)

    return made


StudyDefinition.__init__ = noted(StudyDefinition.__init__)


def lacking(file, columns):
    """Columns of a table that no description of a file of its name has; all where there is no such file."""
    names = [*map(str, columns)]
    left = ([n for n in names if not any(fits(n, c) for c in described)] for described in tables_of(file))
    return min(left, key=len, default=names)


@cache
def tables_of(file):
    """Columns of each description of a file."""
    return [columns for name, (_, *columns) in tables() if re.fullmatch(pattern_of(name), ANALYSES.sub("", file))]


def fits(name, column):
    """Whether a column of a table is the one that is described."""
    if name in NAMES.get(column, ()) or (column in ("<indicator>", "<outcome>") and name in outcome_names()):
        return True
    if column in ("<factor>", "<level>"):
        from mpbf_abm.figures.kind import SHORT

        scenarios = {"scenario"} if column == "<level>" else set()
        return name in scenarios | NAMES["<factor>"] | {SHORT.get(f) for f in NAMES["<factor>"]}
    return column not in NAMES and column != "<indicator>" and re.fullmatch(pattern_of(column), name) is not None


def tables():
    """Each file that is a table, with what a row is and its columns."""
    for section in descriptions().values():
        for names, described in section.get("tables", {}).items():
            yield from ((name, described) for name in names.partition(" (")[0].split(", "))


def pattern_of(name):
    """A pattern of a name in which angle brackets stand for anything."""
    return ".+".join(map(re.escape, re.split(r"<[^>]*>", name)))
