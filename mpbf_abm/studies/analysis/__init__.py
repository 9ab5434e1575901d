"""Analyses of a study: effects of policies, robustness, sensitivity, scenario discovery, phase diagrams.

Each returns tidy tables that say how they were made and on how many runs, and refuses what the design cannot
support. A run that failed, or has no value, is left out by whole pairs, scenarios, row blocks or trajectories, and
counted; too many of them are refused.
"""

from mpbf_abm.studies.analysis.common import Analysis
from mpbf_abm.studies.analysis.discovery import discover
from mpbf_abm.studies.analysis.effects import compare, distributions
from mpbf_abm.studies.analysis.factors import sensitivity
from mpbf_abm.studies.analysis.grids import phase
from mpbf_abm.studies.analysis.robust import robustness

__all__ = ["Analysis", "compare", "discover", "distributions", "phase", "robustness", "sensitivity"]
