"""Servers that stand in for the services of production, on free ports of this machine."""
