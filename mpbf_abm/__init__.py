"""mpbf_abm: an agent-based, systems-dynamics model of foundation-model materials discovery."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpbf_abm.errors import ConfigurationError, DataError, MpbfError, OutputError
    from mpbf_abm.model.campaign import Campaign, run_campaign
    from mpbf_abm.model.community import Snapshot
    from mpbf_abm.model.ecosystem import Ecosystem
    from mpbf_abm.model.interventions import Policy
    from mpbf_abm.model.materials import MaterialsSpace
    from mpbf_abm.model.planners import ExperimentPlanner
    from mpbf_abm.model.run import Run, simulate
    from mpbf_abm.model.shocks import Shock
    from mpbf_abm.model.spec import RunSpec
    from mpbf_abm.parameters import Parameters
    from mpbf_abm.studies.definition import Arm, Branch, Outcome, Replicates, Series
    from mpbf_abm.studies.design import Design, Factor
    from mpbf_abm.studies.results import Results
    from mpbf_abm.studies.study import Study
    from mpbf_abm.studies.whatif import what_if

    __version__: str

# Names are imported when first used, so that `import mpbf_abm` stays light.
_HOMES = {
    "Arm": "studies.definition",
    "Branch": "studies.definition",
    "Campaign": "model.campaign",
    "ConfigurationError": "errors",
    "DataError": "errors",
    "DataCurator": "model.curators",
    "Design": "studies.design",
    "Ecosystem": "model.ecosystem",
    "ExperimentPlanner": "model.planners",
    "Factor": "studies.design",
    "MaterialsSpace": "model.materials",
    "ModelTrainer": "model.trainers",
    "MpbfError": "errors",
    "Outcome": "studies.definition",
    "OutputError": "errors",
    "Parameters": "parameters",
    "Policy": "model.interventions",
    "Replicates": "studies.definition",
    "Results": "studies.results",
    "Run": "model.run",
    "RunSpec": "model.spec",
    "Series": "studies.definition",
    "Shock": "model.shocks",
    "Snapshot": "model.community",
    "Study": "studies.study",
    "run_campaign": "model.campaign",
    "simulate": "model.run",
    "what_if": "studies.whatif",
}

__all__ = [
    "Arm",
    "Branch",
    "Campaign",
    "ConfigurationError",
    "DataCurator",
    "DataError",
    "Design",
    "Ecosystem",
    "ExperimentPlanner",
    "Factor",
    "MaterialsSpace",
    "ModelTrainer",
    "MpbfError",
    "Outcome",
    "OutputError",
    "Parameters",
    "Policy",
    "Replicates",
    "Results",
    "Run",
    "RunSpec",
    "Series",
    "Shock",
    "Snapshot",
    "Study",
    "__version__",
    "run_campaign",
    "simulate",
    "what_if",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("mpbf_abm")
    if name in _HOMES:
        return getattr(importlib.import_module(f"mpbf_abm.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'mpbf_abm' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
