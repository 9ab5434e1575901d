"""Urn limits: the null MPBF against the exact laws of generalised Polya urns (rows U0 to U13)."""
