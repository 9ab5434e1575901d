"""How figures look: one style, one palette, files that are the same bytes for the same data."""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib import rc_params_from_file
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpbf_abm.arrays import Float
from mpbf_abm.errors import UndrawnWarning, words_of
from mpbf_abm.stats.paired import middle

FOLDER = Path(__file__).parent
BOTH = (".png", ".pdf")
MM = 1 / 25.4
Frames = Mapping[str, pd.DataFrame]
WIDTHS = {"single": 89 * MM, "double": 183 * MM}

# Okabe-Ito, first four: distinct to every kind of colour vision, contrast above 3 on white.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY, LIGHT, INK = "#767676", "#D9D9D9", "#262626"
# Petroff 6, where more colours are needed.
PETROFF = ("#5790FC", "#F89C20", "#E42536", "#964A8B", "#9C9CA1", "#7A21DD")
# Each role has one colour everywhere, and a line style or marker as well.
ROLES = {"boundary_shift": BLUE, "integrity": GREEN, "tradeoff": VERMILION, "steering": PURPLE}
ROLES |= {"repository": BLUE, "model": VERMILION, "lab": GREEN}
ROLES |= {"dense": BLUE, "niche": VERMILION, "baseline": GREY, "what-if": BLUE}

STYLE: Any = rc_params_from_file(FOLDER / "mpbf.mplstyle", use_default_template=False)
STYLE["axes.prop_cycle"] = cycler(color=[BLUE, VERMILION, GREEN, PURPLE, "#E69F00", "#56B4E9"])
# Titles, captions and alternative texts of figures.
TEXTS: dict[str, Any] = tomllib.loads((FOLDER / "texts.toml").read_text(encoding="utf-8"))


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save in the project's style, whatever a user's own settings say."""
    with matplotlib.style.context(STYLE, after_reset=True):
        yield


def metadata(suffix: str, title: str, alt: str) -> dict[str, Any]:
    """File metadata: title and alternative text, and nothing that changes from one build to the next."""
    absent = {
        ".pdf": ("CreationDate", "ModDate", "Creator", "Producer"),
        ".svg": ("Date", "Creator"),
        ".png": ("Software",),
    }
    if suffix not in absent:
        raise ValueError(f"{suffix!r}: figures are saved as .pdf, .svg or .png")
    return {"Title": title, "Subject" if suffix == ".pdf" else "Description": alt} | dict.fromkeys(absent[suffix])


def save(fig: Figure, path: Path, *, title: str, alt: str, dpi: float | None = None) -> None:
    """Write a figure; the format follows the suffix, and equal figures give equal bytes.

    Call it inside :func:`styled`, as fonts are embedded according to the style.

    Parameters
    ----------
    fig : Figure
    path : Path
        Ends in .pdf, .svg or .png.
    title, alt : str
        Title and alternative text, kept in the file.
    dpi : float, optional
        Resolution of a PNG; that of the style if not given.
    """
    fig.savefig(path, metadata=metadata(path.suffix, title, alt), dpi=dpi)


def save_all(
    build: Callable[[], Figure], stem: Path, *, title: str, alt: str, suffixes: Sequence[str] = BOTH, dpi: float = 300
) -> list[Path]:
    """Draw a figure in the project's style and write it once for each suffix; equal figures give equal bytes.

    Parameters
    ----------
    build : callable
        Returns the figure; called inside :func:`styled`.
    stem : Path
        Files without their suffix.
    title, alt : str
    suffixes : sequence of str
        Of .png, .pdf and .svg.
    dpi : float
        Resolution of a PNG.
    """
    paths = [stem.with_suffix(suffix) for suffix in suffixes]
    with styled():
        fig = build()
        try:
            for path in paths:
                save(fig, path, title=title, alt=alt, dpi=dpi)
                # One layout for all formats; to compute it takes as long as to draw.
                fig.set_layout_engine("none")
        except BaseException:
            # A part of a figure is none.
            for path in paths:
                path.unlink(missing_ok=True)
            raise
    return paths


@contextmanager
def or_none(name: str) -> Iterator[None]:
    """Draw a figure inside the block; warn where it cannot be drawn, so that all else of its result is kept."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 (whatever a figure raises, its result is worth more)
        lost = f"the figure {name} could not be drawn ({type(error).__name__}: {words_of(error)}); all else is there"
        warnings.warn(lost, UndrawnWarning, stacklevel=3)


# --------------------------------------------------------------------------- parts of figures


def figure(width: str, height: float, *shape: int, **options: Any) -> tuple[Figure, Any]:
    """Return a figure, single or double column wide and some millimetres high, and its axes in one array."""
    fig = Figure(figsize=(WIDTHS[width], height * MM))
    return fig, np.atleast_1d(fig.subplots(*shape, **options)).ravel()


def pick(frame: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Return the rows that have some values in columns."""
    fits = np.ones(len(frame), bool)
    for column, value in values.items():
        fits &= (frame[column] == value).to_numpy()
    return frame[fits]


def unique(values: Iterable[Any]) -> list[Any]:
    """Return each value once, in the order in which they come."""
    return list(dict.fromkeys(values))


def ribbon(ax: Axes, frame: pd.DataFrame, x: str, y: str, color: str, shade: float = 0.15, **line: Any) -> None:
    """Draw a line over its shaded range, which goes from ``low`` to ``high``."""
    ax.fill_between(frame[x], frame["low"], frame["high"], color=color, alpha=shade, linewidth=0)
    ax.plot(frame[x], frame[y], color=color, **line)


def dots(
    ax: Axes, x: Any, frame: pd.DataFrame, y: str, color: str, mark: str, width: float | None = None, **line: Any
) -> None:
    """Draw values with their intervals, which go from ``low`` to ``high``."""
    ax.vlines(x, frame["low"], frame["high"], color=color, linewidth=width)
    ax.plot(x, frame[y], mark, color=color, **line)


def below(ax: Axes, down: float, across: float = 0.5, **options: Any) -> None:
    """Put the legend below the axes, where it can hide nothing."""
    ax.legend(loc="upper center", bbox_to_anchor=(across, down), **options)


def heading(text: str, title: str) -> str:
    """Return a panel's bold letter and what it shows."""
    return rf"$\bf{{{text}}}$  {title}"


def letter(ax: Axes, text: str, title: str, **settings: Any) -> None:
    """Head a panel with its bold letter and what it shows; `settings` are those of ``Axes.set``."""
    ax.set(**settings)
    ax.set_title(heading(text, title), loc="left")


def words(name: str) -> str:
    """Return a name as a label, none of it a formula."""
    return name.replace("_", " ").replace("$", r"\$")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as dicts."""
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def name_rows(ax: Axes, labels: Sequence[str]) -> None:
    """Name the rows of a panel, the first on top."""
    ax.set_yticks(range(len(labels)), [words(label) for label in labels])
    ax.set_ylim(len(labels) - 0.4, -0.6)


def strip(ax: Axes, y: float, x: Float, color: str = GREY) -> None:
    """Draw one row of points, with median and 10-90 % range."""
    # Places within a row follow from the order of runs, so that a figure is the same each time.
    jitter = (np.arange(len(x)) * 0.618034) % 1.0 - 0.5
    alpha, raster = max(0.2, min(0.9, 60 / len(x))), len(x) > 500
    ax.plot(x, y + 0.5 * jitter, ".", color=color, alpha=alpha, markersize=3, markeredgewidth=0, rasterized=raster)
    low, half, high = middle(x)
    ax.plot([low, high], [y, y], color=INK, linewidth=0.8)
    ax.plot([half], [y], "|", color=INK, markersize=6)
