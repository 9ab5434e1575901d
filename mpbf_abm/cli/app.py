"""The command and its groups; each module of this package adds its commands to them."""

from __future__ import annotations

from typing import Annotated

import typer

from mpbf_abm import __version__

app = typer.Typer(
    name="mpbf",
    help="Agent-based model of materials discovery under the Matter Pretraining Boundary Framework.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
config = typer.Typer(
    help="Parameter files, and tables of what can be set.", no_args_is_help=True, rich_markup_mode=None
)
study = typer.Typer(
    help="Parameter experiments and policy what-ifs that lose nothing.", no_args_is_help=True, rich_markup_mode=None
)
data = typer.Typer(help="Tables of real materials.", no_args_is_help=True, rich_markup_mode=None)
lab = typer.Typer(
    help="Standard experiments on any community: path dependence, fragility, the effective urn.", no_args_is_help=True,
    rich_markup_mode=None,
)  # fmt: skip
figures = typer.Typer(
    help="Figures for journals, from any study that supports them.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(config, name="config")
app.add_typer(data, name="data")
app.add_typer(study, name="study")
app.add_typer(lab, name="lab")
app.add_typer(figures, name="figures")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mpbf {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
