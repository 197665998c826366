"""`dvd-rental metrics`: the state of the platform for Prometheus."""

from typing import Annotated

import typer

from dvd_rental_pipeline.cli.graph_runs import load_graph
from dvd_rental_pipeline.cli.terminal import messages
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Settings

PORT = 9464


def metrics(
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = PORT,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for other machines.")] = "127.0.0.1",
    once: Annotated[bool, typer.Option("--once", help="Print the metrics, and serve nothing.")] = False,
) -> None:
    """Serve metrics of runs, assets and checks at /metrics, until interrupted.

    They are read from Dagster's storage at each scrape; the warehouse is not opened.
    """
    settings = Settings.load()
    with load_graph(settings, None) as (definitions, instance, report_progress):
        from prometheus_client import CollectorRegistry, generate_latest

        from dvd_rental_pipeline.publishing.metrics.collector import PlatformCollector
        from dvd_rental_pipeline.publishing.metrics.server import metrics_server

        registry = CollectorRegistry()
        registry.register(PlatformCollector(definitions, instance))
        if once:
            report_progress("reading the metrics")
            print(generate_latest(registry).decode(), end="")
            return
        try:
            server = metrics_server(registry, host, port)
        except OSError as error:
            raise PipelineError(
                f"Cannot listen on {host}:{port}: {error.strerror}. Choose another --port."
            ) from None
        messages.print(f"Metrics are at http://{host}:{port}/metrics. Ctrl+C ends.", soft_wrap=True)
        with server:
            server.serve_forever()
