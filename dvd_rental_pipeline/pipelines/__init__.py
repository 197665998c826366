"""One folder per pipeline, with everything that is particular to it: catalogue, declaration, checks of its own.

No pipeline imports another; `registry.py` lists them.
"""
