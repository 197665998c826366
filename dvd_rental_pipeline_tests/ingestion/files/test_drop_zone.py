"""A folder and an S3 prefix behave alike as places where files are dropped."""

from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from dvd_rental_pipeline.ingestion.files.drop_zone import DropZone, DropZoneError, open_drop_zone
from dvd_rental_pipeline_tests.stand_ins.aws import AwsStandIn

Drop = Callable[[str, bytes], None]


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[DropZone, Drop]]:
    """A drop zone, and a function that drops a complete file there."""
    if request.param == "folder":

        def drop(name: str, content: bytes) -> None:
            path = tmp_path / "sales" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.with_name(f"{path.name}.done").touch()

        yield open_drop_zone(str(tmp_path / "sales")), drop
        return
    aws: AwsStandIn = request.getfixturevalue("aws")
    assert aws
    client = boto3.client("s3")
    client.create_bucket(
        Bucket="lake", CreateBucketConfiguration={"LocationConstraint": client.meta.region_name}
    )
    yield (
        open_drop_zone("s3://lake/in/sales/"),
        lambda name, content: client.put_object(Bucket="lake", Key=f"in/sales/{name}", Body=content),
    )


def test_files_are_listed_by_name_and_read(place: tuple[DropZone, Drop]) -> None:
    zone, drop = place
    assert list(zone.files()) == []
    large = bytes(range(256)) * 10_000
    for name, content in (("b.csv", b"x"), ("a.csv", large), ("old/c.csv", b"y")):
        drop(name, content)
    assert [(file.name, file.size, file.is_complete) for file in zone.files()] == [
        ("a.csv", len(large), True),
        ("b.csv", 1, True),
    ]
    with zone.open("a.csv") as stream:
        pieces = [stream.read(1000), stream.read()]
    assert b"".join(pieces) == large
    assert (zone.read("b.csv"), zone.read("missing.json")) == (b"x", None)


def test_another_content_is_another_version(place: tuple[DropZone, Drop]) -> None:
    zone, drop = place
    drop("a.csv", b"one")
    (before,) = zone.files()
    drop("a.csv", b"other")
    (after,) = zone.files()
    assert before.version != after.version


def test_a_link_in_a_folder_is_no_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("password")
    folder = tmp_path / "sales"
    folder.mkdir()
    (folder / "a.csv").symlink_to(secret)
    zone = open_drop_zone(str(folder))
    assert zone.files() == []
    assert zone.read("a.csv") is None
    with pytest.raises(DropZoneError, match=r"a\.csv"), zone.open("a.csv"):
        pass


def test_a_bucket_that_does_not_exist_is_named(aws: AwsStandIn) -> None:
    with pytest.raises(DropZoneError, match="s3://nowhere/sales"):
        open_drop_zone("s3://nowhere/sales").files()
