"""How figures look: one style, one palette, files that are the same bytes for the same data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.style
from cycler import cycler

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MM = 1 / 25.4
WIDTHS = {"single": 89 * MM, "double": 183 * MM}

# Okabe-Ito, first four: told apart by every kind of colour vision, contrast above 3 on white.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY, LIGHT, INK = "#767676", "#D9D9D9", "#262626"
# Petroff 6, where more colours are needed.
PETROFF = ("#5790FC", "#F89C20", "#E42536", "#964A8B", "#9C9CA1", "#7A21DD")
# Each role has one colour everywhere, and a line style or marker besides.
ROLES = {
    "boundary_shift": BLUE, "integrity": GREEN, "tradeoff": VERMILION, "steering": PURPLE,
    "repository": BLUE, "model": VERMILION, "lab": GREEN,
    "dense": BLUE, "niche": VERMILION, "baseline": GREY, "what-if": BLUE,
}  # fmt: skip

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
    "legend.title_fontsize": 6,
    "axes.linewidth": 0.5,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.0,
    "lines.markersize": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.prop_cycle": cycler(color=[BLUE, VERMILION, GREEN, PURPLE, "#E69F00", "#56B4E9"]),
    "legend.frameon": False,
    "image.cmap": "cividis",
    "figure.constrained_layout.use": True,
    "savefig.bbox": "standard",
    "savefig.dpi": 450,
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "mpbf_abm",
    "text.usetex": False,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save in the project's style, whatever a user's own settings say."""
    with matplotlib.style.context(STYLE, after_reset=True):
        yield


def metadata(suffix: str, title: str, alt: str) -> dict[str, Any]:
    """File metadata: title and alternative text, and nothing that changes from one build to the next."""
    match suffix:
        case ".pdf":
            return {
                "Title": title,
                "Subject": alt,
                "CreationDate": None,
                "ModDate": None,
                "Creator": None,
                "Producer": None,
            }
        case ".svg":
            return {"Title": title, "Description": alt, "Date": None, "Creator": None}
        case ".png":
            return {"Title": title, "Description": alt, "Software": None}
        case _:
            raise ValueError(f"{suffix!r}: figures are saved as .pdf, .svg or .png")


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
    options: dict[str, Any] = {} if dpi is None else {"dpi": dpi}
    fig.savefig(path, metadata=metadata(path.suffix, title, alt), **options)


def is_titled(path: Path, title: str) -> bool:
    """Whether a file is a PNG with a title, as :func:`save` writes one."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return bool(picture.info.get("Title") == title)
    except OSError:
        return False


def save_all(
    build: Callable[[], Figure], stem: Path, *, title: str, alt: str, suffixes: Sequence[str] = (".png", ".pdf")
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
    """
    paths = [stem.with_suffix(suffix) for suffix in suffixes]
    with styled():
        fig = build()
        for path in paths:
            save(fig, path, title=title, alt=alt, dpi=300)
            # One layout for all formats; to compute it takes as long as to draw.
            fig.set_layout_engine("none")
    return paths


def heading(text: str, title: str) -> str:
    """Return a panel's bold letter and what it shows."""
    return rf"$\bf{{{text}}}$  {title}"


def letter(ax: Axes, text: str, title: str) -> None:
    """Head a panel with its bold letter and what it shows."""
    ax.set_title(heading(text, title), loc="left")
