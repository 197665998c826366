"""Where Dagster's daemons find the definitions that a test has made: it sets `defs` before they look."""

from dagster import Definitions

defs = Definitions()
