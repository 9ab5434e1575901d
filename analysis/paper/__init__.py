"""A paper on path dependence and fragility: its studies, its figures and the numbers of its text, from stored runs."""
