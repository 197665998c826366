"""Servers of this project that stand in for services, behind real sockets."""
