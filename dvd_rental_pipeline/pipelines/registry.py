"""All pipelines of this code location."""

from collections.abc import Sequence

from dvd_rental_pipeline.assembly.declaration import CapturePipeline
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE

PIPELINES: Sequence[CapturePipeline] = (DVD_RENTAL_PIPELINE,)
