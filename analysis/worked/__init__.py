"""Worked examples on real data: what is asked, the runs, the tables and the figure of each."""
