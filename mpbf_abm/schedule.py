"""The phases of a tick: data, printable, reorderable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mpbf_abm.agents.curator import assimilate
from mpbf_abm.agents.planner import steer
from mpbf_abm.agents.publication import couple
from mpbf_abm.agents.trainer import abstract
from mpbf_abm.agents.world import World
from mpbf_abm.events import Agenda
from mpbf_abm.stocks import fund, maintain


@dataclass(frozen=True)
class Phase:
    """One phase of a tick.

    Attributes
    ----------
    name, layer, does : str
    act : callable
        Takes the world and changes it.
    """

    name: str
    layer: str
    does: str
    act: Callable[[World], None]


def schedule(agenda: Agenda, world: World, observe: Callable[[World], None] | None) -> list[Phase]:
    """Phases of a tick in order; those without participants are dropped.

    Parameters
    ----------
    agenda : Agenda
        Policies and shocks of the run.
    world : World
        Decides who takes part.
    observe : callable or None
        What records the tick, if anything does.
    """
    everything = phases(agenda, observe)
    stocks = bool(len(world.planners) or len(world.trainers) or world.base.stocks.hazard or agenda.shocks)
    busy = {
        "events": bool(agenda.policies or agenda.shocks or world.base.commons.forgetting or world.p is not world.base),
        "fund": stocks,  # opens the books that maintain checks
        "assimilate": bool(len(world.curators) and world.base.curators.records),
        "abstract": bool(len(world.trainers)),
        "steer": bool(len(world.planners)),
        "couple": bool(len(world.planners)),
        "maintain": stocks,
        "observe": observe is not None,
    }
    return [phase for phase in everything if busy[phase.name]]


def nothing(world: World) -> None:
    """Observe nothing."""


def phases(agenda: Agenda, observe: Callable[[World], None] | None = None) -> list[Phase]:
    """All eight phases, whether or not anyone takes part."""
    return [
        Phase("events", "-", "policies and shocks start, act and end; obsolete records go", agenda.act),
        Phase("fund", "stocks", "income to planners and trainers; whole experiments by largest remainder", fund),
        Phase("assimilate", "DAL", "curators acquire, harmonise, audit and publish records", assimilate),
        Phase("abstract", "RAL", "trainers that are due retrain and publish their model", abstract),
        Phase("steer", "ISL", "planners adopt a model, choose family and candidate, experiment", steer),
        Phase("couple", "X", "results become records, correct heads and make track records", couple),
        Phase("maintain", "stocks", "wear, upkeep, outages and repairs; the books are checked", maintain),
        Phase("observe", "-", "indicators are recorded", observe or nothing),
    ]
