"""The request of a minute's users: each minute is one page of the API, which can be read again at any time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dvd_rental_pipeline.ingestion.http.json_client import JsonClient

_PATH = "/api/1.4/"
_VERSION = "1.4"


@dataclass(frozen=True)
class BatchRequest:
    """The users of a minute, in UTC: `size` of them, optionally of some nationalities only ("DE,FR")."""

    minute: datetime
    size: int
    nationalities: str | None = None

    @property
    def params(self) -> Mapping[str, str | int]:
        """The parameters of the request: the day is the seed, the minute of the day the page."""
        params: dict[str, str | int] = {
            "results": self.size,
            "seed": f"{self.minute:%Y-%m-%d}",
            "page": self.minute.hour * 60 + self.minute.minute + 1,
        }
        return {**params, "nat": self.nationalities} if self.nationalities else params

    def fetch(self, client: JsonClient) -> list[Any]:
        """Return the records of the minute, of which each may still be invalid.

        Raises:
            HttpError: the API gave no usable answer.
        """
        document = client.get(_PATH, self.params, self.find_problem)
        results: list[Any] = document["results"]
        return results

    def find_problem(self, document: Any) -> str | None:
        """Return why a document as a whole is no answer to this request, or None; values are not quoted."""
        if not isinstance(document, dict):
            return "the answer is not a JSON object"
        if "error" in document:
            return "the API reports an error"
        results, info = document.get("results"), document.get("info")
        if not isinstance(results, list) or not isinstance(info, dict):
            return "the answer has no list `results`, or no object `info`"
        if not len(results) == self.size == info.get("results"):
            return f"{self.size} users were requested, and the answer has {len(results)}"
        expected = {"seed": self.params["seed"], "page": self.params["page"], "version": _VERSION}
        wrong = [name for name, value in expected.items() if info.get(name) != value]
        if wrong:
            return f"`info` differs from the request in {', '.join(wrong)}"
        return None
