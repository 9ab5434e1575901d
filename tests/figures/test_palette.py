"""Colours are told apart by every kind of colour vision, and stand out from white."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from colorspacious import cspace_convert, deltaE
from matplotlib.colors import to_rgb

from mpbf_abm.figures import style

VISION = (None, "deuteranomaly", "protanomaly", "tritanomaly")
FLOOR = 10.0  # CAM02-UCS


def seen(color: str, vision: str | None) -> np.ndarray:
    rgb = np.array(to_rgb(color))
    if vision is None:
        return rgb
    return np.clip(cspace_convert(rgb, {"name": "sRGB1+CVD", "cvd_type": vision, "severity": 100}, "sRGB1"), 0, 1)


def luminance(color: str) -> float:
    c = np.array(to_rgb(color))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(
    "palette", [(style.BLUE, style.VERMILION, style.GREEN, style.PURPLE), style.PETROFF], ids=["roles", "more"]
)
def test_colours_of_a_palette_are_far_apart(palette: tuple[str, ...], vision: str | None) -> None:
    nearest = min(deltaE(seen(a, vision), seen(b, vision), input_space="sRGB1") for a, b in combinations(palette, 2))
    assert nearest > FLOOR


@pytest.mark.parametrize("color", [style.BLUE, style.VERMILION, style.GREEN, style.PURPLE, style.GREY, style.INK])
def test_lines_stand_out_from_white(color: str) -> None:
    assert 1.05 / (luminance(color) + 0.05) >= 3.0
