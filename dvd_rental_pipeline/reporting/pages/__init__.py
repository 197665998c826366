"""The templates, style and script of the documentation pages."""
