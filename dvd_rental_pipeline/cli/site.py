"""`dvd-rental site`: where the pages are, opened in a browser or served on this machine."""

import webbrowser
from typing import Annotated

import typer

from dvd_rental_pipeline.cli.terminal import messages
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Settings


def site(
    open_browser: Annotated[bool, typer.Option("--open", help="Open the pages in the browser.")] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the pages at 127.0.0.1, read-only, until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port for --serve; 0 chooses a free one.")] = 3001,
) -> None:
    """Print the address of the pages that runs publish: reports, data quality, documentation, downloads."""
    settings = Settings.load()
    if settings.site_bucket is not None:
        if serve:
            raise PipelineError("--serve is for pages on this machine, and DVD_RENTAL_SITE_BUCKET is set.")
        address = f"{settings.site_url.rstrip('/')}/index.html" if settings.site_url else ""
        if open_browser and not address:
            raise PipelineError(
                "Browsers cannot open a private bucket: set DVD_RENTAL_SITE_URL to the address of the pages."
            )
        print(address or f"s3://{settings.site_bucket}/index.html")
        if open_browser:
            webbrowser.open(address)
        return
    index = settings.site_dir / "index.html"
    if not index.is_file():
        raise PipelineError(f"There are no pages in {settings.site_dir} yet: `dvd-rental run` publishes them.")
    if not serve:
        print(index.as_uri())
        if open_browser:
            webbrowser.open(index.as_uri())
        return
    from dvd_rental_pipeline.publishing.serving import LOOPBACK, site_server

    try:
        server = site_server(settings.site_dir, port)
    except OSError as error:
        raise PipelineError(
            f"Cannot listen on {LOOPBACK}:{port}: {error.strerror}. Choose another --port."
        ) from None
    with server:
        address = f"http://{LOOPBACK}:{server.server_address[1]}/"
        print(address, flush=True)
        messages.print("Ctrl-C stops the server.")
        if open_browser:
            webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            messages.print("Stopped.")
