"""Runs of the graph: one run in this process, the history of runs, the log of runs."""
