"""Addresses of files in the repository, on GitHub or GitLab."""

from typing import Literal

from dvd_rental_pipeline.core.settings import Settings


def platform(code_url: str) -> Literal["github", "gitlab"]:
    """ "github" or "gitlab", by the address of the repository."""
    return "gitlab" if "gitlab" in code_url else "github"


def repository_url(settings: Settings, file: str) -> str | None:
    """The page of `file`, a path from the top of the repository; None if `settings` do not name it."""
    if settings.code_url is None:
        return None
    folder = "-/blob" if platform(settings.code_url) == "gitlab" else "blob"
    return f"{settings.code_url.rstrip('/')}/{folder}/{settings.git_branch or 'main'}/{file}"
