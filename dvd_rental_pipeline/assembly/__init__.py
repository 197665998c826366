"""Assembling the graph: the terms of a pipeline's declaration, and the definitions that are built from it.

No module in here names a pipeline: the declarations are passed in.
"""
