"""The environment in which the templates in `pages/` are rendered."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def template_environment() -> Environment:
    """Escapes every value, and raises an error for an undefined one."""
    return Environment(
        loader=PackageLoader("dvd_rental_pipeline.publishing", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
