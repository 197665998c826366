"""Where to read on, for each asset: its page of the documentation, the report on its checks, and its code."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import dagster as dg

from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Settings

DOCUMENTED_LAYERS = frozenset({"dvd_rental", "staging", "snapshots", "marts", "reports"})
ANCHOR = "pyproject.toml"

Asset: TypeAlias = dg.AssetsDefinition | dg.AssetSpec


def with_links(assets: Sequence[Asset], settings: Settings) -> Sequence[Any]:
    """`assets` with their links: to pages of the site, and to files, of the repository where that is known."""
    linked = dg.map_asset_specs(lambda spec: spec.merge_attributes(metadata=_pages(spec, settings)), assets)
    with warnings.catch_warnings():
        # The version is pinned, and nobody who runs the pipeline can do anything about its being in beta.
        warnings.simplefilter("ignore", dg.BetaWarning)
        # dbt's models refer to their SQL already.
        written = [one for one in linked if not _refers_to_code(one)]
        referring = [*dg.with_source_code_references(written), *(one for one in linked if _refers_to_code(one))]
        if settings.code_url is None:
            return referring
        return dg.link_code_references_to_git(
            referring,
            git_url=settings.code_url,
            git_branch=settings.git_branch or "main",
            file_path_mapping=dg.AnchorBasedFilePathMapping(
                local_file_anchor=PROJECT_ROOT / ANCHOR, file_anchor_path_in_repository=ANCHOR
            ),
            platform="gitlab" if "gitlab" in settings.code_url else "github",
        )


def _refers_to_code(asset: Asset) -> bool:
    specs = [asset] if isinstance(asset, dg.AssetSpec) else list(asset.specs)
    return any("dagster/code_references" in spec.metadata for spec in specs)


def _pages(spec: dg.AssetSpec, settings: Settings) -> dict[str, dg.MetadataValue]:
    if spec.key.path[0] not in DOCUMENTED_LAYERS:
        return {}
    return {
        "documentation": _page(f"docs/lineage.html#{'.'.join(spec.key.path)}", settings),
        "checks_report": _page("checks/index.html", settings),
    }


def _page(page: str, settings: Settings) -> dg.MetadataValue:
    """A link where the site has an address; else where the file is, as a browser follows no link to a file."""
    if settings.site_url is not None:
        return dg.MetadataValue.url(f"{settings.site_url.rstrip('/')}/{page}")
    if settings.site_bucket is not None:
        return dg.MetadataValue.text(f"s3://{settings.site_bucket}/{page}")
    return dg.MetadataValue.path(Path(settings.site_dir, page))
