"""Formulas as numbers: composition, descriptors made of elemental properties, families by chemistry.

Descriptors follow Ward et al. (npj Comput. Mater. 2, 16028, 2016): statistics over the elements of a formula,
weighted by atomic fraction, and norms of the fractions. The elemental properties are in ``elements.csv``.
"""

from __future__ import annotations

import csv
import math
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from periodictable.formulas import formula as parse_with_library
from scipy.sparse import csr_array

from mpbf_abm.arrays import Float, Int

HEAVIEST = 103
NORMS = (2, 3, 5, 7, 10)
# Numbers without leading zeros, symbols, round brackets; a space may part symbols, but a number after a space could
# belong to either side.
NUMBER = r"(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)"
PLAIN = re.compile(rf"(?:[A-Z][a-z]?|{NUMBER}(?![0-9.])|[()]| +(?![0-9. ]))+")
# What the library reads at a time, an element or a bracket, and its count: tables repeat these far more than formulas.
PIECE = re.compile(rf"([A-Z][a-z]?|\([^()]*\))({NUMBER}?)")
MASS = re.compile(r"\s*([0-9]{1,3})\s*([A-Z][a-z]?)")
HYDRATE_DOT = re.compile("[\u00b7\u2022\u2219\u22c5]")
ISOTOPE = re.compile(r"\[\s*[0-9]")
RAISED = re.compile("[\u00b2\u00b3\u00b9\u2070\u2074-\u207f]+")
STOCK = re.compile(r"[A-Z][a-z]? *\( *(?:I{1,3}|IV|VI{0,3}|IX|X)(?: *[,/] *[IVX]+)* *\)|[A-Z][a-z]?II(?![a-z])")
# One bare symbol in brackets at the end, or one letter after a space; the name of a stacking before all.
PHASE = re.compile(
    r"(?<=[A-Za-z0-9)]) *(\([A-Z][a-z]?\))$"
    r"|[A-Z][a-z]?[0-9.]*[A-Z(]\S* ([BCFHIKNOPSUVWY])$"
    r"|^([1-9][0-9]?[HTRC]) +(?=[A-Z])"
)
STOP = re.compile(r"\.([0-9]*) *")
BARE_STOP = re.compile(r"[A-Za-z0-9)](?:\. *| +\. *[0-9]* *)([A-Z(][A-Za-z0-9()]*)")
UNCLEAR_STOP = "the full stop before {} can be read in two ways; write a raised dot (\u00b7), or ({})n"
# What crystallises with a salt; H20 is a slip for water.
MOLECULES = frozenset(
    [
        "H2O",
        "H20",
        "H2O2",
        "NH3",
        "N2H4",
        "HF",
        "HCl",
        "HBr",
        "HI",
        "HNO3",
        "H2SO4",
        "H3PO4",
        "H3BO3",
        "CO",
        "CO2",
        "SO2",
        "CH4",
        "CH3OH",
        "CH4O",
        "C2H5OH",
        "C2H6O",
    ]
)
# Charges of cations by group of the periodic table, and of the anions that make a compound complete.
CATIONS = {
    1: (1,),
    2: (2,),
    3: (3, 4, 2),
    4: (4, 3, 2),
    5: (5, 4, 3, 2),
    6: (6, 5, 4, 3, 2),
    7: (7, 6, 4, 3, 2),
    8: (8, 6, 4, 3, 2),
} | {
    9: (4, 3, 2, 1),
    10: (4, 3, 2),
    11: (3, 2, 1),
    12: (2, 1),
    13: (3, 1),
    14: (4, 2),
    15: (5, 3),
    16: (6, 4),
    17: (7, 5),
}
ANIONS = {"O": 2, "F": 1, "Cl": 1, "Br": 1, "I": 1}
LONGEST = 300

ANION_SHARE = 0.1
METAL_SHARE = 0.05
LEVELS = 4
SIZE_WORDS = {1: "elemental", 2: "binary", 3: "ternary"}


class FormulaError(ValueError):
    """A text that is not a plain chemical formula."""


class Elements(NamedTuple):
    """Elemental properties, row ``Z - 1`` for each element.

    Attributes
    ----------
    symbols : tuple of str
        Chemical symbols, Z = 1 to 103.
    names : tuple of str
        Property names, one per column.
    values : float (103, P)
        Values in the units stated in ``elements.csv``.
    kinds : dict of int to str
        What compounds of an anion are called, by atomic number; 0 where there is none.
    """

    symbols: tuple[str, ...]
    names: tuple[str, ...]
    values: Float
    kinds: dict[int, str]

    def column(self, name: str) -> Float:
        """Return one property of all elements (103,)."""
        return self.values[:, self.names.index(name)]


@lru_cache(maxsize=1)
def elements() -> Elements:
    """Read the shipped table of elemental properties."""
    text = files("mpbf_abm.data").joinpath("elements.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    names = tuple(name for name in rows[0] if name not in ("symbol", "filled", "compounds"))
    values = np.array([[float(row[name]) for name in names] for row in rows])
    kinds = {0: "alloys"} | {int(row["number"]): row["compounds"] for row in rows if row["compounds"]}
    return Elements(tuple(row["symbol"] for row in rows), names, values, kinds)


# --------------------------------------------------------------------------- composition


@lru_cache(maxsize=262_144)
def parse(text: str) -> tuple[tuple[int, float], ...]:
    """Return atomic fractions of a plain formula, by atomic number.

    Nested brackets, fractions, spaces between symbols, Unicode subscripts and hydrates with a raised dot are
    understood. What is not a composition beyond doubt is refused: isotopes and other raised digits, charges, Stock
    numerals, letters of a phase (``TiO2(B)``), densities, mixtures, unknowns (``O7-x``), elements beyond Z = 103, and
    a full stop that may be a raised one (``CuSO4.5H2O``, ``3CaO.2SiO2``).

    Returns
    -------
    tuple of (int, float)
        Atomic number and fraction of each element, by rising atomic number; the fractions sum to one.

    Raises
    ------
    FormulaError
        With the reason.
    """
    if raised := RAISED.search(text):
        raise FormulaError(
            f"raised signs ({raised.group()}) are mass numbers or charges; isotopes and ions are not allowed"
        )
    # The compatibility form turns subscripts into plain digits.
    plain = unicodedata.normalize("NFKC", text).strip()
    # Square brackets around digits mark an isotope, around symbols they are brackets.
    if "[" in plain and not ISOTOPE.search(plain):
        plain = plain.replace("[", "(").replace("]", ")")
    if not plain:
        raise FormulaError("no formula")
    if len(plain) > LONGEST:
        raise FormulaError(f"longer than {LONGEST} characters")
    parts = [part.strip() for part in HYDRATE_DOT.split(plain)]
    if doubt := _doubt(plain, parts):
        raise FormulaError(doubt)
    # The library has a plus sign where chemists raise a dot.
    amounts = _amounts("+".join(parts).replace(" ", ""))
    total = sum(amounts.values())
    if not amounts or not math.isfinite(total):
        raise FormulaError("no atoms")
    if max(amounts) > HEAVIEST or min(amounts) < 1:
        raise FormulaError(f"elements beyond Z = {HEAVIEST} are not allowed")
    return tuple([(number, amounts[number] / total) for number in sorted(amounts)])


def _doubt(plain: str, parts: list[str]) -> str:
    """Return why a text is no composition beyond doubt, or nothing."""
    if stock := STOCK.search(plain):
        return f"{stock.group()} looks like a Stock numeral, the charge of an ion; leave it out"
    if bare := BARE_STOP.search(plain):
        return UNCLEAR_STOP.format(bare[1], bare[1])
    if not all(map(PLAIN.fullmatch, parts)):
        strange = re.search(r"[^A-Za-z0-9.() ]", "".join(parts))
        where = f" (not {sign_name(strange.group())})" if strange else ""
        return f"only element symbols, numbers and brackets are allowed{where}"
    for part in parts:
        if phase := PHASE.search(part):
            return (
                f"'{phase[phase.lastindex or 0]}' may name a phase or be an element; leave it out, or write it inside"
            )
        for stop in STOP.finditer(part):
            if second := _second_compound(part[: stop.start()], stop.group(1), part[stop.end() :]):
                return UNCLEAR_STOP.format(second, second)
    if (mass := MASS.match(plain)) and len(parts) == 1 and _is_mass(int(mass[1]), mass[2]):
        return f"{mass[1]} before {mass[2]} may be a mass number or a multiple; isotopes are not allowed"
    return ""


def _is_mass(number: int, symbol: str) -> bool:
    """Whether a number may be the mass number of an element."""
    symbols = elements().symbols
    return symbol in symbols and (z := symbols.index(symbol) + 1) <= number <= 3 * z + 1


def sign_name(sign: str) -> str:
    """Return a plain sign, or the code point and name of one that may be invisible or look like another."""
    if "!" <= sign <= "~":
        return f"'{sign}'"
    return f"U+{ord(sign):04X}, {unicodedata.name(sign, 'a control sign')}"


def _second_compound(left: str, digits: str, right: str) -> str:
    """Return what stands behind a full stop, if the stop may part two compounds, or nothing."""
    right = right.split(".")[0].strip()
    if right.startswith("(") and right.endswith(")"):
        right = right[1:-1]
    if digits.startswith("0") or len(digits) > 2 or not right or not re.search("[A-Za-z)]", left):
        return ""
    if right in ("H2O", "H20"):
        return right
    ends = re.search(r"([A-Z][a-z]?|\))([0-9]*)$", left.replace(" ", ""))
    if not ends or "." in left or ends[2].startswith("0"):
        return ""
    anions = {*ANIONS, "S", "Se", "Te", "N", "P", "As", "C", "H", ")"}
    compound = ends[1] in anions and len(set(re.findall("[A-Z][a-z]?", left))) > 1
    return right if compound and (right in MOLECULES or _complete(right)) else ""


def _complete(plain: str) -> bool:
    """Whether a formula with whole numbers has charges that add up to none, as an oxide or a salt has."""
    try:
        atoms = _amounts(plain.replace(" ", ""))
    except FormulaError:
        return False
    if not all(1 <= z <= HEAVIEST for z in atoms):
        return False
    symbols, group = elements().symbols, elements().column("group")
    negative, sums = 0.0, {0.0}
    for z, n in atoms.items():
        if charge := ANIONS.get(symbols[z - 1]):
            negative += charge * n
        else:
            sums = {s + n * positive for s in sums for positive in CATIONS.get(int(group[z - 1]), ())}
    return len(atoms) > 1 and negative > 0 and negative in sums


def _amounts(plain: str) -> dict[int, float]:
    """Return atoms of a formula by atomic number, read piece by piece where it is a plain row of pieces."""
    pieces = PIECE.findall(plain)
    whole = "".join([unit + count for unit, count in pieces]) == plain
    atoms: dict[int, float] = {}
    for unit, count in pieces if whole else [(plain, "")]:
        times = float(count) if count else 1.0
        for number, amount in _library_atoms(unit):
            atoms[number] = atoms.get(number, 0.0) + times * amount
    return {number: amount for number, amount in atoms.items() if amount > 0}


@lru_cache(maxsize=65_536)
def _library_atoms(plain: str) -> tuple[tuple[int, float], ...]:
    """Return atomic numbers and amounts as the library reads them."""
    try:
        atoms = parse_with_library(plain).atoms
    except Exception as error:  # the grammar raises errors of several unrelated types
        raise FormulaError("not a chemical formula") from error
    if any(getattr(atom, "isotope", None) for atom in atoms):
        raise FormulaError("isotopes (D, T) are not allowed")
    return tuple((int(atom.number), float(amount)) for atom, amount in atoms.items())


def composition_matrix(formulas: Sequence[str]) -> csr_array:
    """Return atomic fractions of formulas that parse, sparse (n, 103); every row sums to one."""
    parsed = [parse(text) for text in formulas]
    start = np.concatenate([[0], np.cumsum([len(p) for p in parsed], dtype=np.int64)])
    numbers = np.array([z - 1 for p in parsed for z, _ in p], dtype=np.int64)
    fractions = np.array([x for p in parsed for _, x in p], dtype=np.float64)
    return csr_array((fractions, numbers, start), shape=(len(parsed), HEAVIEST))


def composition_keys(fractions: csr_array) -> list[bytes]:
    """Return keys that are equal for equal reduced compositions (to about six decimals)."""
    # Steps of one over a prime: no simple fraction lies on the border between two steps.
    steps = np.rint(fractions.data * 999_983).astype(np.int64)
    numbers, start = fractions.indices.astype(np.int64), fractions.indptr
    return [numbers[a:b].tobytes() + steps[a:b].tobytes() for a, b in pairwise(start)]


def descriptors(fractions: csr_array) -> Float:
    """Return descriptors of compositions: mean, spread, least and most of each property; number of elements; norms.

    Parameters
    ----------
    fractions : sparse (n, 103)
        Atomic fractions.

    Returns
    -------
    float (n, 4 P + 6)
        Of the properties all means, spreads, least and most, in this order; number of elements; a norm for each of
        ``NORMS``.
    """
    table = elements().values
    # The variance is a difference of squares; centring first keeps its digits.
    centre = table.mean(axis=0)
    mean = fractions @ (table - centre)
    spread = np.sqrt(np.maximum(fractions @ (table - centre) ** 2 - mean**2, 0.0))
    present, first = table[fractions.indices], fractions.indptr[:-1]
    low, high = np.minimum.reduceat(present, first), np.maximum.reduceat(present, first)
    count = np.diff(fractions.indptr)[:, None].astype(np.float64)
    norms = [np.add.reduceat(fractions.data**p, first)[:, None] ** (1 / p) for p in NORMS]
    return np.concatenate([mean + centre, spread, low, high, count, *norms], axis=1)


def element_edits(present: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Return edits between sets of elements: one for each added or removed, so that a substitution takes two (K, K).

    Parameters
    ----------
    present : bool (K, E)
        Elements of each set.

    Examples
    --------
    >>> element_edits(np.array([[1, 1, 0], [1, 1, 1], [1, 0, 1]], bool)).tolist()
    [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    """
    member = present.astype(np.float32)
    size = member.sum(axis=1)
    return np.asarray(size[:, None] + size - 2 * (member @ member.T), np.int16)


# --------------------------------------------------------------------------- families by chemistry


def chemistry_labels(fractions: csr_array) -> Int:
    """Return up to four elements that name the chemistry of each composition, the most telling first.

    The first is the anion: the most electronegative nonmetal or metalloid with at least a tenth of the atoms
    (zero for alloys). The second is the most abundant transition metal of groups 4 to 11 with at least a twentieth
    of the atoms. Without one it is the most abundant element. The others follow by abundance. Abundance is compared in
    steps of a twentieth, so that light doping does not move a compound; the more electronegative wins a tie.

    Returns
    -------
    int (n, 4)
        Atomic numbers; zero where there is none.
    """
    table = elements()
    n = fractions.shape[0]
    rows = np.repeat(np.arange(n), np.diff(fractions.indptr))
    number, share = fractions.indices.astype(np.int64) + 1, fractions.data
    pull, group = table.column("electronegativity")[number - 1], table.column("group")[number - 1]
    anion = np.isin(number, [z for z in table.kinds if z]) & (share >= ANION_SHARE)
    abundance = np.rint(share / METAL_SHARE) + pull / 10
    # Groups of f elements are given as 3, so they are not transition metals here.
    transition = (group >= 4) & (group <= 11) & (share >= METAL_SHARE)
    scores = [np.where(anion, pull, -np.inf), abundance + 100.0 * transition, abundance, abundance]
    labels = np.zeros((n, LEVELS), np.int64)
    free = np.ones(len(number), bool)
    for level, score in enumerate(scores):
        usable = np.flatnonzero(free & np.isfinite(score))
        order = usable[np.lexsort((score[usable], rows[usable]))]
        best = order[np.append(rows[order][1:] != rows[order][:-1], True)] if len(order) else order
        labels[rows[best], level] = number[best]
        free[best] = False
    return labels


class _Group(NamedTuple):
    path: tuple[int, ...]
    rows: Int
    level: int
    other: bool = False

    @property
    def name(self) -> str:
        symbols, kinds = elements().symbols, elements().kinds
        if not self.path:
            return "other compounds" if self.other else "compounds"
        kind, rest = kinds[self.path[0]], [symbols[z - 1] for z in self.path[1:] if z]
        if self.other:
            return f"{kind}: {'-'.join([*rest, 'other'])}" if rest else f"other {kind}"
        text = f"{kind}: {'-'.join(rest)}" if rest else kind
        alone = len(self.path) > 1 and self.path[-1] == 0
        return f"{text}, {SIZE_WORDS[len(rest) + (self.path[0] > 0)]}" if alone else text


def chemical_families(fractions: csr_array, points: Float, most: int, smallest: int) -> tuple[Int, tuple[str, ...]]:
    """Group compositions by chemistry, the largest groups in finer detail.

    Starting from the anion, the largest group is split by the next label until there are `most` families.
    Parts smaller than `smallest` form an "other" group; if even that is too small, each joins the nearest part.

    Parameters
    ----------
    fractions : sparse (n, 103)
    points : float (n, d)
        Descriptors; distances between their means say what is nearest.
    most : int
        Largest number of families.
    smallest : int
        Materials a family should have at least.

    Returns
    -------
    family : int (n,)
        Families numbered by falling size.
    names : tuple of str
    """
    labels = chemistry_labels(fractions)
    done: list[_Group] = []
    work = [_Group((), np.arange(len(labels)), 0)]

    def by_size(group: _Group) -> tuple[int, str]:
        return -len(group.rows), group.name

    while work:
        work.sort(key=by_size)
        group = work.pop(0)
        room = most - len(done) - len(work)
        if group.level >= LEVELS or group.other or (group.level and (room < 2 or len(group.rows) < 2 * smallest)):
            done.append(group)
        else:
            work += _split(group, labels, points, max(room, 1), smallest)
    done.sort(key=by_size)
    family = np.empty(len(labels), np.int64)
    for k, group in enumerate(done):
        family[group.rows] = k
    return family, tuple(group.name for group in done)


def _split(group: _Group, labels: Int, points: Float, room: int, smallest: int) -> list[_Group]:
    """Split by the group's next label into at most `room` groups."""
    own = labels[group.rows, group.level]
    codes, counts = np.unique(own, return_counts=True)
    if len(codes) == 1:
        return [_Group((*group.path, int(codes[0])), group.rows, group.level + 1)]
    ranked = codes[np.lexsort((codes, -counts))]
    large = [int(c) for c in ranked if counts[codes == c][0] >= smallest]
    if len(large) > room or (len(large) == room and len(large) < len(codes)):
        large = large[: room - 1]
    level = group.level + 1
    children = [_Group((*group.path, c), group.rows[own == c], level) for c in large]
    if not children:
        # No part is large enough to stand alone: the group stays as it is.
        return [group._replace(level=LEVELS)]
    rest = group.rows[~np.isin(own, large)]
    if len(rest) >= smallest:
        return [*children, _Group(group.path, rest, level, other=True)]
    centres = np.array([points[child.rows].mean(axis=0) for child in children])
    for code in np.unique(labels[rest, group.level]):
        rows = rest[labels[rest, group.level] == code]
        near = int(np.argmin(((centres - points[rows].mean(axis=0)) ** 2).sum(axis=1)))
        children[near] = children[near]._replace(rows=np.sort(np.concatenate([children[near].rows, rows])))
    return children
