"""The commands of `dvd-rental`, one file per group: parse arguments, call the package, show the result.

Data goes to stdout, everything else to stderr. Slow modules are imported inside the command that needs them.
Logic that is of use without a terminal belongs in the other folders.
"""
