"""AWS on loopback: moto's server, to which AWS_ENDPOINT_URL directs the real clients."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from moto.core import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"


@dataclass(frozen=True)
class AwsStandIn:
    """A running server."""

    endpoint: str

    def reset(self) -> None:
        """Delete every bucket, secret, topic and task."""
        requests.post(f"{self.endpoint}/moto-api/reset", timeout=10).raise_for_status()

    def store_empty_objects(self, bucket: str, keys: Iterable[str]) -> None:
        """Store objects without requests, of which each takes 9 ms."""
        from moto.s3.models import s3_backends  # noqa: PLC0415 - slow to import

        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        for key in keys:
            backend.put_object(bucket, key, b"")

    def environment(self) -> Mapping[str, str]:
        """Environment variables with which a process uses this server as AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "stand-in",
            "AWS_SECRET_ACCESS_KEY": "stand-in",
        }


@contextmanager
def running_aws() -> Iterator[AwsStandIn]:
    """A server on a free port while the context lasts."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield AwsStandIn(f"http://{host}:{port}")
    finally:
        server.stop()
