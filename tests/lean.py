"""A community in which a repository matters through the models that depend on it alone."""

from mpbf_abm import Parameters

# All records can be read anywhere, nothing is curated, and links stay.
LEAN = Parameters.preset("single-default").updated(
    {
        "space.materials": 300,
        "space.families": 4,
        "founding.records": 80,
        "trainers.count": 3,
        "trainers.features": 16,
        "trainers.retrain_interval": 4,
        "trainers.reuse": 0.0,
        "curators.count": 0,
        "infrastructure.openness": 1.0,
        "curators.model_guidance": 0.0,
        "planners.count": 6,
        "trainers.panel": 4,
        "planners.experiments": 1.0,
        "planners.adoption_rate": 0.0,
        "infrastructure.repositories": 4,
        "infrastructure.rewiring": 0.0,
        "infrastructure.providers": 1,
    }
)
