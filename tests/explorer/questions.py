"""A community that runs in a fraction of a second, and what the tests of the page know of it."""

from __future__ import annotations

from mpbf_abm.page.scenario import Scenario, from_address

SMALL = (
    "preset=single-quick&space.materials=1500&space.families=15&founding.records=300&trainers.count=3&trainers.records=200"
    "&planners.count=10&curators.count=4&infrastructure.repositories=4&ticks=18&replicates=2"
)
WHAT_IF = f"{SMALL}&policy=exploration_floor:start=6,strength=0.8"


def scenario(query: str = SMALL) -> Scenario:
    return from_address(query).checked()
