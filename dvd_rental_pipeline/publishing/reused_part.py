"""Whether a published part of the site still shows what its tables have, so that it need not be built again.

The fingerprint of what a part shows is published with it, as one of its files: a run that is killed cannot
leave one that belongs to other pages.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import dagster as dg

from dvd_rental_pipeline.publishing.site import Site
from dvd_rental_pipeline.transform.code_versions import digest
from dvd_rental_pipeline.transform.manifest import DbtModel, Manifest
from dvd_rental_pipeline.transform.reused import REUSED
from dvd_rental_pipeline.transform.warehouse_state import read_data_versions
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.interface import Warehouse

PACKAGE_DIR = Path(__file__).parents[1]
FINGERPRINT_FILE = "shown.txt"
CODE_FILES = {".py", ".html", ".svg", ".css", ".js"}


class PartConfig(dg.Config):
    """Launch configuration of a part of the site. Without `reuse`, it is built although nothing has changed."""

    reuse: bool = True


@dataclass(frozen=True)
class Part:
    """A part of the site, and the fingerprint of what it shows; None if that is not known."""

    site: Site
    name: str
    fingerprint: str | None

    def unchanged(
        self, context: dg.AssetExecutionContext, config: PartConfig
    ) -> dg.MaterializeResult[None] | None:
        """The materialization of the published part, if it is current; its images stay with the one before."""
        if self.fingerprint is None or not config.reuse or not self.site.has("index.html"):
            return None
        file = f"{self.name}/{FINGERPRINT_FILE}"
        if not self.site.has(file) or self.site.read(file).decode() != self.fingerprint:
            return None
        event = context.instance.get_latest_materialization_event(context.asset_key)
        if event is None or event.asset_materialization is None:
            return None
        context.log.info(f"the published part {self.name} shows the current tables: not built again")
        kept = {
            key: value
            for key, value in reused_metadata(event).items()
            if not isinstance(value, dg.MarkdownMetadataValue)
        }
        return dg.MaterializeResult(metadata=kept, data_version=dg.DataVersion(self.fingerprint))

    def sign(self, folder: Path) -> None:
        """Write the fingerprint beside the pages in `folder`, which are about to be published."""
        if self.fingerprint is not None:
            (folder / FINGERPRINT_FILE).write_text(self.fingerprint, encoding="utf-8")

    @property
    def data_version(self) -> dg.DataVersion | None:
        """The data version of the asset."""
        return None if self.fingerprint is None else dg.DataVersion(self.fingerprint)


def reused_metadata(event: dg.EventLogEntry) -> Mapping[str, dg.MetadataValue]:
    """The metadata of the materialization `event`, with the run that has built what it reports."""
    materialization = event.asset_materialization
    since = dg.TextMetadataValue(f"unchanged since run {event.run_id.partition('-')[0]}")
    return {REUSED: since, **(materialization.metadata if materialization else {})}


def part_of(
    site: Site,
    name: str,
    manifest: Manifest,
    warehouse: Warehouse,
    *,
    models: Sequence[DbtModel],
    private: Collection[str],
    options: Sequence[object] = (),
) -> Part:
    """The part `name`, built by this package from `models` without the columns `private`; `options` are what
    else decides how.

    Call it before the models are read: a part that is built meanwhile shows at least these versions.
    """
    try:
        versions = read_data_versions(manifest, warehouse)
    except WarehouseError:
        # Building the part reports what is wrong.
        return Part(site, name, None)
    if not all(model.unique_id in versions for model in models):
        return Part(site, name, None)
    shown = [
        (
            model.unique_id,
            versions[model.unique_id],
            model.description,
            [repr(column) for column in model.columns],
        )
        for model in models
    ]
    return Part(site, name, digest(_code_hash(), shown, sorted(private), list(options)))


@cache
def _code_hash() -> str:
    code = hashlib.sha256()
    for file in sorted(PACKAGE_DIR.rglob("*")):
        if file.suffix in CODE_FILES:
            code.update(str(file.relative_to(PACKAGE_DIR)).encode())
            code.update(file.read_bytes())
    return code.hexdigest()
