"""mpbf_abm: an agent-based, systems-dynamics model of foundation-model materials discovery."""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpbf_abm.agents.planner import ExperimentPlanner
    from mpbf_abm.ecosystem import Ecosystem, Snapshot
    from mpbf_abm.errors import ConfigurationError, DataError, MpbfError, OutputError
    from mpbf_abm.interventions import Policy, Shock
    from mpbf_abm.parameters import Parameters
    from mpbf_abm.simulation import Run, simulate
    from mpbf_abm.space.materials import MaterialsSpace

__version__ = metadata.version("mpbf_abm")

# Names are imported when first used, so that `import mpbf_abm` stays light.
_HOMES = {
    "ConfigurationError": "errors",
    "DataError": "errors",
    "Ecosystem": "ecosystem",
    "ExperimentPlanner": "agents.planner",
    "MaterialsSpace": "space.materials",
    "MpbfError": "errors",
    "OutputError": "errors",
    "Parameters": "parameters",
    "Policy": "interventions",
    "Run": "simulation",
    "Shock": "interventions",
    "Snapshot": "ecosystem",
    "simulate": "simulation",
}

__all__ = [
    "ConfigurationError",
    "DataError",
    "Ecosystem",
    "ExperimentPlanner",
    "MaterialsSpace",
    "MpbfError",
    "OutputError",
    "Parameters",
    "Policy",
    "Run",
    "Shock",
    "Snapshot",
    "__version__",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"mpbf_abm.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'mpbf_abm' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
