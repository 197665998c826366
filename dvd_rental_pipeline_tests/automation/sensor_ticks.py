"""The ticks of one sensor of automation conditions, each with the cursor of the one before."""

from collections.abc import Sequence

import dagster as dg

from dvd_rental_pipeline.automation.gated_sensor import GatedConditionSensor
from dvd_rental_pipeline.core.private_api.dagster import SensorExecutionData
from dvd_rental_pipeline_tests.automation.history import History


class SensorTicks:
    """Ticks of a sensor of the conditions of `assets`, on `instance`, whose events are written by `history`."""

    def __init__(self, instance: dg.DagsterInstance, assets: Sequence[dg.AssetsDefinition]) -> None:
        self.sensor = GatedConditionSensor(
            "models", target=dg.AssetSelection.all(), run_tags={"why": "inputs"}, description="Builds models."
        )
        self.definitions = dg.Definitions(assets=assets, sensors=[self.sensor])
        self.history = History(self.definitions, instance)
        self.instance, self.cursor = instance, None

    def tick(self) -> SensorExecutionData:
        context = dg.build_sensor_context(
            self.instance, cursor=self.cursor, repository_def=self.definitions.get_repository_def()
        )
        data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return data
