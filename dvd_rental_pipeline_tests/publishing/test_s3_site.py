"""Pages on S3: a part is replaced as a whole, and pages that it no longer has are deleted."""

from pathlib import Path
from typing import Any

import boto3
import pytest

from dvd_rental_pipeline.core.aws import AwsError
from dvd_rental_pipeline.publishing.s3_site import S3Site
from dvd_rental_pipeline_tests.stand_ins.aws import REGION, AwsStandIn

BUCKET = "pages"


@pytest.fixture
def client(aws: AwsStandIn) -> Any:
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    (tmp_path / "index.html").write_text("<h1>first</h1>")
    (tmp_path / "img" / "graph.svg").write_text("<svg/>")
    (tmp_path / "data.json").write_text("{}")
    return tmp_path


def keys(client: Any) -> set[str]:
    return {item["Key"] for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def test_a_part_is_published_with_content_types_for_browsers(client: Any, pages: Path) -> None:
    site = S3Site(bucket=BUCKET, url="https://reports.example.com/")
    assert not site.has("docs/index.html")
    assert site.publish("docs", pages) == "https://reports.example.com/docs/index.html"
    assert site.has("docs/index.html")
    types = {key: client.head_object(Bucket=BUCKET, Key=key) for key in keys(client)}
    assert {key: head["ContentType"] for key, head in types.items()} == {
        "docs/index.html": "text/html; charset=utf-8",
        "docs/img/graph.svg": "image/svg+xml",
        "docs/data.json": "application/json; charset=utf-8",
    }
    assert {head["CacheControl"] for head in types.values()} == {"no-cache"}


def test_without_a_url_the_address_is_that_of_the_object(client: Any, pages: Path) -> None:
    assert S3Site(bucket=BUCKET).publish("docs", pages) == "s3://pages/docs/index.html"


def test_publishing_again_replaces_and_deletes_only_within_the_part(client: Any, pages: Path) -> None:
    site = S3Site(bucket=BUCKET)
    site.publish("docs", pages)
    site.publish("docs2", pages)
    (pages / "data.json").unlink()
    (pages / "index.html").write_text("<h1>second</h1>")
    site.publish("docs", pages)
    assert keys(client) == {
        "docs/index.html",
        "docs/img/graph.svg",
        "docs2/index.html",
        "docs2/img/graph.svg",
        "docs2/data.json",
    }
    assert client.get_object(Bucket=BUCKET, Key="docs/index.html")["Body"].read() == b"<h1>second</h1>"


def test_more_old_pages_than_one_request_allows_are_deleted(client: Any, aws: AwsStandIn, pages: Path) -> None:
    aws.store_empty_objects(BUCKET, [f"docs/old/{number}.html" for number in range(1001)])
    assert len(keys(client)) == 1000, "S3 lists no more at once"
    S3Site(bucket=BUCKET).publish("docs", pages)
    assert keys(client) == {"docs/index.html", "docs/img/graph.svg", "docs/data.json"}


def test_a_failed_upload_keeps_the_old_index_and_deletes_nothing(
    client: Any, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = S3Site(bucket=BUCKET)
    site.publish("docs", pages)
    (pages / "index.html").write_text("<h1>second</h1>")
    (pages / "data.json").unlink()
    upload = S3Site._upload

    def upload_until_the_index(self: S3Site, client: Any, file: Path, key: str) -> None:
        target = boto3.client("s3", endpoint_url="http://127.0.0.1:9") if key.endswith("index.html") else client
        upload(self, target, file, key)

    monkeypatch.setattr(S3Site, "_upload", upload_until_the_index)
    with pytest.raises(AwsError, match="bucket pages"):
        site.publish("docs", pages)
    assert client.get_object(Bucket=BUCKET, Key="docs/index.html")["Body"].read() == b"<h1>first</h1>"
    assert "docs/data.json" in keys(client)


def test_a_missing_bucket_is_reported_with_its_setting(aws: AwsStandIn, pages: Path) -> None:
    with pytest.raises(AwsError, match="DVD_RENTAL_SITE_BUCKET"):
        S3Site(bucket="nowhere").publish("docs", pages)


def test_a_file_outside_of_the_parts_may_be_cached_for_ever(client: Any) -> None:
    site = S3Site(bucket=BUCKET)
    site.publish_file("assets/vega-1.js", b"vega", is_immutable=True)
    site.publish_file("index.html", b"<h1>home</h1>")
    assert site.read("assets/vega-1.js") == b"vega"
    heads = {key: client.head_object(Bucket=BUCKET, Key=key) for key in keys(client)}
    assert heads["assets/vega-1.js"]["CacheControl"].endswith("immutable")
    assert heads["assets/vega-1.js"]["ContentType"] == "text/javascript; charset=utf-8"
    assert heads["index.html"]["CacheControl"] == "no-cache"
