"""The commands of `dvd-rental`, a file for each group: they read arguments and show what came of it.

Data goes to stdout, everything else to stderr. What is slow to import is imported by the command that needs it.
"""
