"""The top of the site: one page that leads to all parts."""

from dvd_rental_pipeline.publishing.site import Site
from dvd_rental_pipeline.publishing.templates import PAGES, THEME_FILES, site_values, template_environment


def publish_home(site: Site) -> None:
    """Publish the home page, whose verdicts the browser loads.

    Raises:
        PipelineError: the site cannot be written.
    """
    html = template_environment().get_template("home.html").render(**site_values(""), title="Home")
    for name in THEME_FILES:
        site.publish_file(name, (PAGES / name).read_bytes())
    site.publish_file("index.html", html.encode())
