"""What many runs mean: effects with intervals, from tables of replicates."""
