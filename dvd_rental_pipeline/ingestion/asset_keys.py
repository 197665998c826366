"""Asset keys of raw tables: schema and table, in every deployment."""

from collections.abc import Sequence

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain, Table


def raw_key(domain: Domain, table: Table) -> dg.AssetKey:
    """The key of the raw table of `table`: [domain, table]."""
    return dg.AssetKey([domain.name, table.name])


def raw_keys(domain: Domain) -> Sequence[dg.AssetKey]:
    """The keys of all raw tables of `domain`, in the order of the catalogue."""
    return [raw_key(domain, table) for table in domain.tables]


def leader_key(domain: Domain) -> dg.AssetKey:
    """The key of the table that stands for the domain: all its tables are synced together."""
    return raw_key(domain, domain.leader)
