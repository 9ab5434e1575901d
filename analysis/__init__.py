"""Our own use of the package: the paper, worked examples on real data, benchmarks. Nothing of it is in the wheel."""
