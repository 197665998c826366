"""The past values of tracked metrics: in the run history, or in a file where that ends with each task."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import dagster as dg
from pydantic import BaseModel, Field, FiniteFloat, TypeAdapter, ValidationError

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.files.object_store import ObjectStore, open_store

MAX_HISTORY = 30
"""How many values of a metric are read or kept."""

PastValues: TypeAlias = Mapping[dg.AssetCheckKey, Sequence[float]]
"""Values that passed, oldest first, by check."""

_KEY = "metric_history.json"


class MetricHistoryError(PipelineError):
    """The file of past values is damaged."""


class _KeptValue(BaseModel):
    """A value that passed; `at` is in seconds since 1970."""

    at: float
    value: FiniteFloat


_FILE = TypeAdapter(dict[str, list[_KeptValue]])


class MetricHistory(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where checks find the past values of their metrics."""

    location: str | None = Field(
        None, description="A folder or s3://BUCKET/PREFIX; unset: the run history of the Dagster instance"
    )

    def read(
        self, instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey], *, since: float
    ) -> PastValues:
        """The values of `keys` that passed after `since`, in seconds since 1970.

        Raises:
            ObjectStoreError: the location cannot be read.
            MetricHistoryError: its file is damaged.
        """
        if self.location is None:
            return {key: _read_from_instance(instance, key, since) for key in keys}
        kept = _read_file(open_store(self.location))
        return {key: [entry.value for entry in kept.get(_name(key), []) if entry.at >= since] for key in keys}

    def add(self, values: Mapping[dg.AssetCheckKey, float], *, since: float) -> None:
        """Keep `values`, which passed, and forget those from before `since`; Dagster keeps its own by itself.

        Raises:
            ObjectStoreError: the location cannot be read or written.
            MetricHistoryError: its file is damaged.
        """
        if self.location is None or not values:
            return
        store = open_store(self.location)
        kept = _read_file(store)
        now = time.time()
        for key, value in values.items():
            past = [entry for entry in kept.get(_name(key), []) if entry.at >= since]
            kept[_name(key)] = [*past, _KeptValue(at=now, value=value)][-MAX_HISTORY:]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / _KEY
            file.write_bytes(_FILE.dump_json(kept))
            store.replace(_KEY, file)


def last_full_copy(instance: dg.DagsterInstance, asset: dg.AssetKey) -> float:
    """When `asset` was last copied in full, in seconds since 1970; 0 when that is not known."""
    for record in instance.fetch_materializations(asset, limit=MAX_HISTORY).records:
        materialization = record.asset_materialization
        mode = materialization.metadata.get("sync_mode") if materialization else None
        if mode is not None and mode.value == "snapshot":
            return record.timestamp
    return 0.0


def _read_from_instance(instance: dg.DagsterInstance, key: dg.AssetCheckKey, since: float) -> list[float]:
    values = []
    for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=MAX_HISTORY):
        evaluation = record.evaluation
        # A planned check has no evaluation yet.
        if (
            isinstance(evaluation, dg.AssetCheckEvaluation)
            and evaluation.passed
            and record.create_timestamp >= since
        ):
            value = evaluation.metadata.get("value")
            if isinstance(value, dg.FloatMetadataValue) and value.value is not None:
                values.append(value.value)
    return values[::-1]


def _read_file(store: ObjectStore) -> dict[str, list[_KeptValue]]:
    if _KEY not in store.keys(_KEY):
        return {}
    try:
        return _FILE.validate_json(store.read(_KEY))
    except ValidationError:
        raise MetricHistoryError(
            f"{store.address(_KEY)}, the past values of checked metrics, is damaged. Restore an earlier "
            "version of it, or delete it: the checks then learn their bounds from scratch."
        ) from None


def _name(key: dg.AssetCheckKey) -> str:
    return f"{key.asset_key.to_user_string()}:{key.name}"
