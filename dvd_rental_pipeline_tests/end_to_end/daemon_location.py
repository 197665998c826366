"""The module from which Dagster's daemons load the definitions of a test, which sets `defs` first."""

from dagster import Definitions

defs = Definitions()
