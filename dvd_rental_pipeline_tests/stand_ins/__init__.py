"""Servers that stand in for the services of production, on free ports of this machine, and recorded alerts.

The real clients call them over HTTP. Only what behaves as a service does belongs here; how it is set up for
particular tests belongs to those tests.
"""
