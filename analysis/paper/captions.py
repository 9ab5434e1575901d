"""The paper's figures: which study feeds each, what it shows of it, and its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from mpbf_abm.errors import ConfigurationError, did_you_mean
from mpbf_abm.figures.build import KINDS
from mpbf_abm.figures.kind import Choice, Kind

CROWD = 2.0  # reinforcement of communities that follow the crowd


def _figure(name: str, study: str, choice: Choice, title: str, caption: str, alt: str) -> tuple[Kind, str]:
    """Return a kind of figure with the paper's choice and words, and the study that feeds it."""
    kind = KINDS[name]
    return replace(kind, title=title, caption=caption, alt=alt, prepare=partial(kind.prepare, choice=choice)), study


_MADE = (
    _figure(
        "flows",
        "courses",
        Choice(where={"gamma": CROWD}),
        "Measured flows between the layers",
        "What flows between curators, commons, models, planners and experiments in a tick, in communities that "
        "follow the crowd (γ = 2): mean over histories with its 95 % interval, as they are and with a floor on "
        "exploration. Width grows with the logarithm of the flow; blue: records, red: experiments, green: "
        "published tests.",
        "Diagram of five boxes, curators, commons, models, planners and experiments, joined by eight arrows whose "
        "width is the measured flow per tick; one diagram for the baseline, one with a floor on exploration.",
    ),
    _figure(
        "corpus",
        "courses",
        Choice(),
        "Growth of the corpus",
        "Records by origin over time, mean of histories, at a reinforcement of 1.05 (a) and 2 (b); plain areas "
        "are the founding core, the largest families that held half of the founding records, hatched ones all "
        "others. What the core still holds (c), with and without a floor on exploration: median and the range of "
        "nine tenths of the histories.",
        "Stacked areas of records by origin over time for weak and strong reinforcement, and lines of the share "
        "of records that the founding core of families still holds.",
    ),
    _figure(
        "phase",
        "urns",
        Choice(outcomes=("locked",)),
        "Phase diagram of the null community",
        "Share of histories of the null community (five equal families) in which one family holds more than two "
        "fifths of the records at the end, twice an equal share, over reinforcement γ and exploration ε. White: "
        "half of the histories, dotted its 95 % interval; red: the exploration below which equal families do not "
        "stay equal (dashed), and above which no locked-in state is left (dash-dotted), both without any fitting.",
        "Heat map of the share of histories that lock in over reinforcement and exploration, with the half-way "
        "contour and two curves of theory that border it.",
    ),
    _figure(
        "fan",
        "courses",
        Choice(where={"gamma": CROWD}),
        "Layers over time",
        "The four quantities of the framework in this project's operationalisation, finds and breadth, in "
        "communities that follow the crowd (γ = 2), with and without a floor on exploration: eight histories "
        "(thin), median (thick), and the range of nine tenths of all histories (shaded).",
        "Six panels over time with medians, ranges and single histories: boundary shift, integrity, steering, "
        "trade-off, finds and breadth, for the baseline and a floor on exploration.",
    ),
    _figure(
        "twins",
        "twins",
        Choice(),
        "Divergence of twins",
        "Two histories on the same draws that differ by a deposit of a fiftieth of the records in a family of "
        "median size at a fifth of the way: distance of their family shares over time (a; median and the range of "
        "nine tenths of pairs) and how many times it has grown at the end (b; line: 10–90 %, tick: median). The "
        "founding is even; identical twins stay identical.",
        "Distance between twin histories over time on a logarithmic axis for three reinforcements, and the "
        "distribution of its growth over pairs.",
    ),
    _figure(
        "early",
        "courses",
        Choice(),
        "Early advantage",
        "Share of the records that the family leading at a fifth of the run holds then and at the end, one point "
        "for each history (a; line: equality), and the variance of both shares over histories with its 95 % "
        "interval (b).",
        "Scatter of final against early share of the early leader with the line of equality, for weak and strong "
        "reinforcement, and the variance of shares early and at the end.",
    ),
    _figure(
        "removal",
        "removal",
        Choice(),
        "The network under removal",
        "Largest component of the network of repositories, models and labs while nodes are removed, at random or "
        "by three criteria of attack, where models and labs lean on one (a), two (b) or three (c) providers: "
        "median and the range of nine tenths of communities. The mean of each curve, R, with its 95 % interval "
        "(d).",
        "Curves of the largest component against the share of nodes removed, for four orders of removal and one "
        "to three providers, and the mean of each curve with its interval.",
    ),
    _figure(
        "ridges",
        "budgets",
        Choice(),
        "Distributions of outcomes by policy and budget",
        "Distributions over histories of finds (a) and breadth (b) in communities that follow the crowd, by "
        "policy and by the experiments that a planner can make in a tick: density, single runs (ticks) and their "
        "median (triangle).",
        "Ridges of the distributions of finds and of breadth for three policies and three budgets, with single "
        "runs and medians.",
    ),
    _figure(
        "regret",
        "policies",
        Choice(),
        "Policies under uncertainty",
        "Rank of each policy by several criteria of robustness (a), and its regret in finds, what is lost against "
        "the best policy of a scenario, in every scenario (b), scenarios in the order of their largest regret.",
        "Table of ranks of policies by criterion, and a heat map of their regret over scenarios.",
    ),
    _figure(
        "indices",
        "indices",
        Choice(),
        "What explains the variance of outcomes",
        "Total and first-order Sobol indices of five parameters, free of the noise of replicates, with 95 % "
        "intervals; a factor that does nothing shows the floor of noise, and the share of the variance that is "
        "chance stands above.",
        "Bars of total and first-order Sobol indices with intervals for five parameters and a dummy factor, for "
        "finds and for breadth.",
    ),
    _figure(
        "box",
        "policies",
        Choice(outcomes=("leading_share",)),
        "Which communities become concentrated",
        "Scenario discovery of the two fifths of communities that end most concentrated: coverage and density of "
        "boxes on the way to the chosen one, on the fitted and on the held-out half of the scenarios (a); limits "
        "of the chosen box in parts of each parameter's range (b); all scenarios in two of them (c).",
        "Three panels of scenario discovery: coverage against density, limits of the chosen box, and scenarios "
        "that end concentrated and others.",
    ),
    _figure(
        "warnings",
        "warnings",
        Choice(),
        "Signals before a transition",
        "Null communities of constant size whose exploration falls to the threshold of lock-in, and others whose "
        "exploration stays: single histories (a), trends of variance and autocorrelation of the first family's "
        "share in windows of half of the run (b; line: 10–90 %, tick: median), and how well the trends tell one "
        "kind from the other, area with its 95 % interval (c).",
        "Histories of communities that approach a transition and of others, distributions of the trends of two "
        "early-warning signals, and their ROC curves.",
    ),
)
FIGURES: dict[str, Kind] = {figure.name: figure for figure, _ in _MADE}
FEEDS: dict[str, str] = {figure.name: study for figure, study in _MADE}


def chosen(names: Sequence[str]) -> list[Kind]:
    """Return figures by name; all without names."""
    faults = [
        f"{n}: no such figure{did_you_mean(n, FIGURES)} (figures: {', '.join(FIGURES)})"
        for n in names
        if n not in FIGURES
    ]
    if faults:
        raise ConfigurationError(faults)
    return [FIGURES[n] for n in names] if names else list(FIGURES.values())
