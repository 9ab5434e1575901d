"""Columns of tables, held against the page that explains them."""

import re
from functools import cache

from mpbf_abm.outputs import descriptions

ANALYSES = re.compile(r"(compare|robustness|sensitivity|discover|phase)-")  # before names of tables of a report
INDICATORS = ("<indicator>", "<outcome>")


def lacking(file, columns):
    """Columns of a table that no description of a file of its name has; all where there is no such file."""
    names = [*map(str, columns)]
    return min(([n for n in names if not re.fullmatch(p, n)] for p in patterns(file)), key=len, default=names)


@cache
def patterns(file):
    """One pattern of columns for each description of a file."""
    from mpbf_abm.model.run import outcome_names

    sets = {name: "|".join(map(re.escape, outcome_names())) for name in INDICATORS}
    return [
        "|".join(sets.get(column) or pattern_of(column) for column in columns)
        for name, (_, *columns) in tables()
        if re.fullmatch(pattern_of(name), ANALYSES.sub("", file))
    ]


def tables():
    """Each file that is a table, with what a row is and its columns."""
    for section in descriptions().values():
        for names, described in section.get("tables", {}).items():
            yield from ((name, described) for name in names.partition(" (")[0].split(", "))


def pattern_of(name):
    """A pattern of a name in which angle brackets stand for anything."""
    return ".+".join(map(re.escape, re.split(r"<[^>]*>", name)))
