"""How the server may misbehave: each fault turns a correct document into the answer of an outage."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    """An outage that the real API, or a proxy in front of it, is known to have."""

    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    NO_RESULTS = "no_results"
    WRONG_COUNT = "wrong_count"
    HTML = "html"
    TRUNCATED = "truncated"
    WRONG_ENCODING = "wrong_encoding"
    REDIRECT = "redirect"
    HUGE = "huge"


@dataclass(frozen=True)
class Answer:
    """An HTTP response; the server announces `announced_length` bytes, or else those of the body."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    announced_length: int | None = None


def as_json(status: int, document: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a response with a JSON document."""
    body = json.dumps(document, ensure_ascii=False).encode()
    return Answer(status, body, {"Content-Type": "application/json; charset=utf-8", **(headers or {})})


def misbehave(fault: Fault, document: dict[str, Any], *, retry_after: str = "0") -> Answer:
    """Return the response of an outage of this kind in place of `document`."""
    correct = as_json(200, document)
    half = correct.body[: len(correct.body) // 2]
    answers = {
        Fault.RATE_LIMITED: as_json(429, {"error": "Hey, slow down"}, {"Retry-After": retry_after}),
        Fault.UNAVAILABLE: as_json(503, {"error": "Uh oh, something has gone wrong"}),
        Fault.NO_RESULTS: as_json(200, {**document, "results": []}),
        Fault.WRONG_COUNT: as_json(200, {**document, "results": document["results"][:-1]}),
        Fault.HTML: Answer(200, b"<!doctype html><title>Be right back</title>", {"Content-Type": "text/html"}),
        Fault.TRUNCATED: Answer(200, half, correct.headers, announced_length=len(correct.body)),
        Fault.WRONG_ENCODING: Answer(200, b"\xff" + correct.body, correct.headers),
        Fault.REDIRECT: Answer(302, b"", {"Location": "https://example.com/moved"}),
    }
    # Only made when asked for.
    return Answer(200, b" " * (100 * 2**20), correct.headers) if fault is Fault.HUGE else answers[fault]
