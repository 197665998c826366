"""The top of the site: one page that leads to all parts, also to those that were not published yet."""

from dvd_rental_pipeline.publishing.navigation import SITE_PARTS
from dvd_rental_pipeline.publishing.site import Site
from dvd_rental_pipeline.publishing.templates import PAGES, THEME_FILES, site_values, template_environment


def publish_home(site: Site) -> None:
    """Publish the home page, whose verdicts the browser loads, and a page for each part that has none.

    Raises:
        PipelineError: the site cannot be written.
    """
    environment = template_environment()
    html = environment.get_template("home.html").render(**site_values(""), title="Home")
    for name in THEME_FILES:
        site.publish_file(name, (PAGES / name).read_bytes())
    site.publish_file("index.html", html.encode())
    for part in SITE_PARTS:
        address = f"{part.name}/index.html"
        if not site.has(address):
            values = {**site_values(part.name), "theme_path": "../"}
            empty = environment.get_template("unpublished.html").render(**values, title=part.title, part=part)
            site.publish_file(address, empty.encode())
