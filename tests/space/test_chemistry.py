"""Formulas become compositions, descriptors and families; what is not a plain formula is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpbf_abm.data import chemistry
from mpbf_abm.data.chemistry import FormulaError, chemistry_labels, composition_matrix, elements, parse


def composition(text):
    return {elements().symbols[z - 1]: x for z, x in parse(text)}


def test_element_table_is_whole():
    table = elements()
    assert table.values.shape == (103, 15)
    assert np.isfinite(table.values).all()
    np.testing.assert_array_equal(table.column("number"), np.arange(1, 104))
    np.testing.assert_array_equal(
        table.column("valence"), sum(table.column(f"valence_{shell}") for shell in ("s", "p", "d", "f"))
    )


@pytest.mark.parametrize(
    ("symbol", "name", "value"),
    [
        ("Fe", "mass", 55.845),
        ("F", "electronegativity", 3.98),
        ("Cu", "valence_d", 10),
        ("Si", "radius", 116),
        ("W", "melting_point", 3687.15),
        ("He", "ionisation", 24.5874),
        ("Cl", "affinity", 3.61273),
        ("Ce", "group", 3),
        ("Pb", "period", 6),
    ],
)
def test_element_values(symbol, name, value):
    table = elements()
    assert table.column(name)[table.symbols.index(symbol)] == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("H2O", {"H": 2 / 3, "O": 1 / 3}),
        ("Al0.25 Co1 Fe1 Ni1", {"Al": 1 / 13, "Co": 4 / 13, "Fe": 4 / 13, "Ni": 4 / 13}),
        ("Ag(W3Br7)2", {"Ag": 1 / 21, "W": 6 / 21, "Br": 14 / 21}),
        ("K4[Fe(CN)6]", {"K": 4 / 17, "Fe": 1 / 17, "C": 6 / 17, "N": 6 / 17}),
        ("La1.85Sr.15CuO4", {"La": 1.85 / 7, "Sr": 0.15 / 7, "Cu": 1 / 7, "O": 4 / 7}),
        ("Fe₂O₃", {"Fe": 0.4, "O": 0.6}),
        (" CO ", {"C": 0.5, "O": 0.5}),
        ("Co", {"Co": 1.0}),
        ("FeNi0", {"Fe": 1.0}),
    ],
)
def test_plain_formulas(text, expected):
    assert composition(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "Xx2",
        "co2",
        "YBa2Cu3O7-x",
        "Fe2-xO3",
        "D2O",
        "T2",
        "H[2]2O",
        "Fe{2+}O",
        "H2O@1",
        "H2O@1n",
        "50wt% Co // Ti",
        "5nm Co",
        "aa:ACGT",
        "NaCl(aq)",
        "Al 0.25 Co 1",
        "O4+2",
        "CaCO3+6H2O",
        "W00.4",
        "Ag0",
        "Rf2O",
        "Fe.5.5",
        "((Fe)",
        "nan",
        "Fe" * 200,
        "(" * 150,
        "Fe;O",
        "Fe1e2",
        "n",
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(FormulaError) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("K₂¹⁸O", "raised signs"),
        ("Na₂S¹⁸O₄", "raised signs"),
        ("Mg¹¹B₂", "raised signs"),
        ("SO4²⁻", "raised signs"),
        ("Fe(III)PO4", "Stock numeral"),
        ("Cu(II)SO4", "Stock numeral"),
        ("Cu(I)2O", "Stock numeral"),
        ("Fe(II,III)O", "Stock numeral"),
        ("FeIIIPO4", "Stock numeral"),
        ("TiO2(B)", "'(B)' may name a phase"),
        ("CdS (W)", "'(W)' may name a phase"),
        ("PbTe[Na]", "'(Na)' may name a phase"),
        ("TiO2 B", "'B' may name a phase"),
        ("2H MoS2", "'2H' may name a phase"),
        ("MgCl2.6 H2O", "full stop before H2O"),
        ("CuSO4.5(H2O)", "full stop before H2O"),
        ("FeSO4.7H20", "full stop before H20"),
        ("CaCl2.8NH3", "full stop before NH3"),
        ("Na2SiF6.2HF", "full stop before HF"),
        ("CaO.6Al2O3", "full stop before Al2O3"),
        ("3CaO.2SiO2", "full stop before SiO2"),
        ("Al2O3.SiO2", "full stop before SiO2"),
        ("MgSO4.2K2SO4", "full stop before K2SO4"),
        ("KCl.MgCl2.6H2O", "full stop before MgCl2"),
        ("Fe\u200bO", r"U\+200B, ZERO WIDTH SPACE"),
        ("18O2", "18 before O may be a mass number"),
        ("235UO2", "235 before U may be a mass number"),
        ("2 H2O", "2 before H may be a mass number"),
        ("\ufeffFeO", r"U\+FEFF, ZERO WIDTH NO-BREAK SPACE"),
        ("\u0421O2", r"U\+0421, CYRILLIC CAPITAL LETTER ES"),
    ],
)
def test_what_may_be_read_in_two_ways_is_refused_with_the_reason(text, reason):
    with pytest.raises(FormulaError, match=reason.replace("(", r"\(").replace(")", r"\)")):
        parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NaN", {"Na": 0.5, "N": 0.5}),
        ("InF", {"In": 0.5, "F": 0.5}),
        ("CuSO4·5H2O", {"Cu": 1 / 21, "S": 1 / 21, "O": 9 / 21, "H": 10 / 21}),
        ("Ba0.6K0.4Fe2As2", {"Ba": 0.12, "K": 0.08, "Fe": 0.4, "As": 0.4}),
        ("Ba.6K.4BiO3", {"Ba": 0.12, "K": 0.08, "Bi": 0.2, "O": 0.6}),
        ("Li1.2MnO2", {"Li": 1.2 / 4.2, "Mn": 1 / 4.2, "O": 2 / 4.2}),
        ("CsPbI2.5Br.5", {"Cs": 0.2, "Pb": 0.2, "I": 0.5, "Br": 0.1}),
        ("Ca5(PO4)3(OH)", {"Ca": 5 / 22, "P": 3 / 22, "O": 13 / 22, "H": 1 / 22}),
        ("CuI", {"Cu": 0.5, "I": 0.5}),
        ("Ga N", {"Ga": 0.5, "N": 0.5}),
    ],
)
def test_what_looks_odd_but_is_clear_is_read(text, expected):
    assert composition(text) == pytest.approx(expected)


SALTS = st.sampled_from(["CuSO4", "MgCl2", "CaO", "Na2CO3", "KAl(SO4)2", "Fe2O3", "NaF"])
GUESTS = st.sampled_from(["H2O", "NH3", "HF", "CO2", "Al2O3", "SiO2", "K2SO4", "NaNO3", "CaF2", "La2O3"])


@given(
    salt=SALTS, guest=GUESTS, times=st.integers(1, 12), dot=st.sampled_from("·•∙⋅"), space=st.sampled_from(["", " "])
)
def test_a_raised_dot_adds_a_second_compound_and_a_full_stop_is_refused(salt, guest, times, dot, space):
    written, bracketed = (f"{salt}{space}{sign}{space}{times}{guest}" for sign in (dot, "."))
    assert composition(written) == pytest.approx(composition(f"{salt}({guest}){times}"))
    for text in (bracketed, f"{salt}.{times}({guest})", f"{salt}.{guest}"):
        with pytest.raises(FormulaError, match="full stop"):
            parse(text)


@given(
    salt=SALTS,
    sign=st.sampled_from("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u0410\u0415\u039f\x07"),
    data=st.data(),
)
def test_a_foreign_sign_anywhere_is_refused_and_named(salt, sign, data):
    place = data.draw(st.integers(0, len(salt)))
    with pytest.raises(FormulaError, match=rf"raised signs \({sign}|not U\+{ord(sign):04X}"):
        parse(salt[:place] + sign + salt[place:])


@given(
    amounts=st.dictionaries(
        st.sampled_from(elements().symbols), st.integers(1, 400).map(lambda i: i / 20), min_size=1, max_size=6
    ),
    factor=st.integers(2, 9),
)
def test_reduced_composition_does_not_depend_on_writing(amounts, factor):
    text = "".join(f"{symbol}{amount}" for symbol, amount in amounts.items())
    spaced = " ".join(f"{symbol}{amount * factor:.8g}" for symbol, amount in reversed(amounts.items()))
    fractions = composition_matrix([text, spaced, f"({text}){factor}"])
    np.testing.assert_allclose(fractions.sum(axis=1), 1.0)
    assert len(set(chemistry.composition_keys(fractions))) == 1


def test_descriptors_by_hand():
    names = [f"{statistic} {name}" for statistic in ("mean", "spread", "min", "max") for name in elements().names]
    names += ["elements", *(f"norm {p}" for p in chemistry.NORMS)]
    values = dict(zip(names, chemistry.descriptors(composition_matrix(["Fe2O3", "Cu"])).T, strict=True))
    iron, oxygen = 1.83, 3.44
    mean = 0.4 * iron + 0.6 * oxygen
    spread = np.sqrt(0.4 * (iron - mean) ** 2 + 0.6 * (oxygen - mean) ** 2)
    np.testing.assert_allclose(values["mean electronegativity"], [mean, 1.9])
    np.testing.assert_allclose(values["spread electronegativity"], [spread, 0.0], atol=1e-7)
    np.testing.assert_allclose(values["min electronegativity"], [iron, 1.9])
    np.testing.assert_allclose(values["max electronegativity"], [oxygen, 1.9])
    np.testing.assert_allclose(values["elements"], [2, 1])
    np.testing.assert_allclose(values["norm 2"], [np.sqrt(0.4**2 + 0.6**2), 1.0])


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("YBa2Cu3O7", ["O", "Cu", "Ba", "Y"]),
        ("La1.85Sr0.15CuO4", ["O", "Cu", "La", "Sr"]),
        ("Bi2Sr2CaCu2O8", ["O", "Cu", "Bi", "Sr"]),
        ("LaFeAsO0.9F0.1", ["O", "Fe", "As", "La"]),
        ("AgGaS2", ["S", "Ag", "Ga", ""]),
        ("NaCl", ["Cl", "Na", "", ""]),
        ("Nb3Sn", ["", "Nb", "Sn", ""]),
        ("Na2SO4", ["O", "Na", "S", ""]),
    ],
)
def test_labels_tell_the_chemistry(text, symbols):
    (labels,) = chemistry_labels(composition_matrix([text]))
    assert ["" if z == 0 else elements().symbols[z - 1] for z in labels] == symbols


def family_of(texts, most, smallest):
    fractions = composition_matrix(texts)
    return chemistry.chemical_families(fractions, chemistry.descriptors(fractions), most, smallest)


def test_families_are_named_and_limited():
    cuprates = [f"La{x}Sr{y}CuO4" for x in (1, 2, 3) for y in (1, 2, 3)] + [f"YBa2Cu3O{z}" for z in (6, 7, 8)]
    texts = [*cuprates, "ZnS", "PbS", "CdS", "NaCl", "Nb3Sn"]
    family, names = family_of(texts, 9, 2)
    assert names[family[0]].startswith("oxides: Cu")
    assert names[family[9]] == "oxides: Cu-Ba"
    assert names[family[12]] == names[family[13]] == "sulfides"
    assert names[family[15]] == names[family[16]] == "other compounds"
    assert list(np.bincount(family)) == sorted(np.bincount(family), reverse=True)
    for most in (1, 2, 3):
        assert len(family_of(texts, most, 2)[1]) <= most


def test_too_small_a_remainder_joins_the_nearest_family():
    family, names = family_of(["MgO", "CaO", "SrO", "NaCl", "KCl", "RbCl", "NaBr"], 9, 3)
    assert set(names) == {"oxides", "chlorides"}
    assert names[family[-1]] == "chlorides"


@given(
    texts=st.lists(
        st.permutations(elements().symbols[:90]).map(lambda symbols: "".join(symbols[:3])),
        min_size=1,
        max_size=60,
        unique=True,
    ),
    most=st.integers(1, 12),
    smallest=st.integers(1, 10),
)
def test_families_partition_any_list(texts, most, smallest):
    family, names = family_of(texts, most, smallest)
    assert 1 <= len(names) <= most
    assert len(set(names)) == len(names)
    assert set(family) == set(range(len(names)))


# --------------------------------------------------------------------------- edits


def test_edits_count_what_is_added_and_what_is_removed():
    sets = [{"Al", "Co"}, {"Al", "Co", "Cr"}, {"Al", "Fe"}, {"Nb"}]
    alphabet = sorted(set().union(*sets))
    present = np.array([[e in s for e in alphabet] for s in sets])
    assert chemistry.element_edits(present).tolist() == [[len(a ^ b) for b in sets] for a in sets]
