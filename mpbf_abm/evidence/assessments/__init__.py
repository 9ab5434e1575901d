"""The laboratory: standard experiments on any community, from the effective urn to path dependence and fragility."""
