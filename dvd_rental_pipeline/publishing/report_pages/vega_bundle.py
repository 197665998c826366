"""Vega, Vega-Lite and vega-embed as one JavaScript file, which all report pages load."""

from importlib.metadata import version

from dvd_rental_pipeline.publishing.site import Site


def vega_path() -> str:
    """The path of the file in the site. Its name changes with its content, so that browsers may keep it."""
    return f"assets/vega-{version('vl-convert-python')}.js"


def publish_vega(site: Site) -> None:
    """Publish the file, unless the site has it: putting it together takes seconds.

    Raises:
        PipelineError: the site cannot be written.
    """
    if not site.has(vega_path()):
        import vl_convert  # noqa: PLC0415 - 90 MB of code, which only this needs

        site.publish_file(
            vega_path(),
            vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode(),
            is_immutable=True,
        )
