"""The fields of `Settings`, a group per service: names, types, defaults, descriptions, derived properties.

A group does not read the environment: `Settings`, which inherits from all groups, does. Fields of the
deployment itself, and what needs several groups, belong in `core/settings.py`.
"""
