"""The figure of the validation: where values, ranges and verdicts are drawn."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from mpbf_abm.evidence.facts.recorded import FACTS
from mpbf_abm.evidence.facts.validation import Validation
from mpbf_abm.figures import style
from mpbf_abm.figures.of_evidence import EDGE, draw_facts, facts_alt, save_facts
from mpbf_abm.figures.style import BLUE, GREEN, VERMILION

CHOSEN = tuple(FACTS[n - 1] for n in (1, 5, 10))  # calibrated, held out, reduction test
COLOURS = {"calibrated": BLUE, "held out": GREEN, "reduction test": VERMILION}


def validation(place: float, half: float = 0.1) -> Validation:
    """Every simulated mean in one place of its range, in half ranges from the middle."""
    rows = []
    for fact in CHOSEN:
        for c in fact.components:
            middle, width = (c.low + c.high) / 2, (c.high - c.low) / 2
            value = middle + place * width
            rows.append(
                {
                    "fact": fact.number,
                    "component": c.id,
                    "name": c.name,
                    "unit": c.unit,
                    "recorded": c.value,
                    "low": c.low,
                    "high": c.high,
                    "real": np.nan,
                    "simulated": value,
                    "simulated_low": value - half * width,
                    "simulated_high": value + half * width,
                    "replicates": 5,
                    "inside": c.holds(value),
                }
            )
    return Validation(CHOSEN, pd.DataFrame(rows), pd.DataFrame())


def markers(fig):
    """Points of the model: x, colour, hollow or not."""
    lines = [line for line in fig.axes[0].lines if line.get_marker() in {"o", "s", "D"}]
    return [
        (float(x), to_hex(line.get_color()), to_hex(line.get_markerfacecolor()) == "#ffffff")
        for line in lines
        for x in line.get_xdata()
    ]


@pytest.mark.parametrize(
    ("place", "drawn", "hollow"),
    [(0.0, 0.0, False), (0.5, 0.5, False), (2.0, 2.0, True), (9.0, EDGE, True), (-9.0, -EDGE, True)],
)
def test_values_are_drawn_in_half_ranges_and_hollow_outside(place: float, drawn: float, hollow: bool):
    v = validation(place)
    with style.styled():
        fig = draw_facts(v)
    found = markers(fig)
    assert len(found) == len(v.table)
    for x, _, empty in found:
        assert x == pytest.approx(drawn, abs=1e-9)
        assert empty == hollow
    assert {colour for _, colour, _ in found} == {to_hex(c) for c in COLOURS.values()}
    assert [t.get_text() for t in fig.axes[0].get_yticklabels()] == [
        f"{f}  {n}" for f, n in zip(v.table["fact"], v.table["name"], strict=True)
    ]
    assert fig.axes[0].get_legend() is not None


def test_words_say_how_many_numbers_lie_inside():
    assert "8 numbers lie inside, 3 facts" in facts_alt(validation(0.0))
    assert "0 numbers lie inside, 0 facts" in facts_alt(validation(3.0))


def test_a_value_that_does_not_exist_is_no_obstacle_and_files_are_equal(tmp_path):
    v = validation(0.0)
    v.table.loc[0, ["simulated", "simulated_low", "simulated_high"]] = np.nan
    v.table.loc[0, "inside"] = False
    first, second = save_facts(v, tmp_path / "one.png"), save_facts(v, tmp_path / "two.png")
    assert first.read_bytes() == second.read_bytes()
    assert len(first.read_bytes()) > 5_000
