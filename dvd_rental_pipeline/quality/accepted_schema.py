"""Differences of a source's schema that an operator has reviewed and accepted.

They are recorded as observations of the raw table: Dagster shows when each was accepted, and every deployment
has them where it has its history.
"""

from collections.abc import Collection

import dagster as dg

_ACCEPTED = "accepted_schema_differences"
_MAX_OBSERVATIONS = 100


def accept_differences(instance: dg.DagsterInstance, asset: dg.AssetKey, descriptions: Collection[str]) -> None:
    """Record that the differences `descriptions` of the raw table `asset` are accepted, and no others."""
    instance.report_runless_asset_event(
        dg.AssetObservation(
            asset_key=asset,
            description=f"Accepted: {'; '.join(sorted(descriptions)) or 'no difference'}",
            metadata={_ACCEPTED: dg.JsonMetadataValue(sorted(descriptions))},
        )
    )


def accepted_differences(instance: dg.DagsterInstance, asset: dg.AssetKey) -> frozenset[str]:
    """The descriptions of the differences of `asset` that were accepted last."""
    for record in instance.fetch_observations(asset, limit=_MAX_OBSERVATIONS).records:
        observation = record.asset_observation
        accepted = observation.metadata.get(_ACCEPTED) if observation is not None else None
        if isinstance(accepted, dg.JsonMetadataValue) and isinstance(accepted.data, list):
            return frozenset(str(description) for description in accepted.data)
    return frozenset()
