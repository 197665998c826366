"""The site in an S3 bucket without public access, served by CloudFront or an internal proxy."""

import mimetypes
from pathlib import Path
from typing import Any

from pydantic import Field

from dvd_rental_pipeline.core.aws import AwsError, aws_client, translate_aws_errors
from dvd_rental_pipeline.publishing.site import Site

INDEX = "index.html"
# File names stay the same when the content changes: browsers must revalidate.
CACHE_CONTROL = "no-cache"
IMMUTABLE = "public, max-age=31536000, immutable"
DELETE_LIMIT = 1000  # objects per request


class S3Site(Site):
    """Parts are prefixes of a bucket.

    Files are uploaded one by one, the index page last, and files that are no longer part of it deleted after
    that. If an upload fails, the old index page stays and nothing is deleted; publishing again fixes it.
    """

    bucket: str = Field(description="Name of the bucket")
    url: str | None = Field(None, description="Address under which browsers see the bucket")

    def has(self, path: str) -> bool:
        client = aws_client("s3")
        try:
            with translate_aws_errors():
                client.head_object(Bucket=self.bucket, Key=path)
        except AwsError as error:
            if error.code in {"404", "NoSuchKey"}:
                return False
            raise self._failure(error) from None
        return True

    def publish(self, part: str, pages: Path) -> str:
        client = aws_client("s3")
        files = {file.relative_to(pages).as_posix(): file for file in pages.rglob("*") if file.is_file()}
        try:
            with translate_aws_errors():
                for name in sorted(files, key=lambda name: (name == INDEX, name)):
                    self._upload(client, files[name], f"{part}/{name}")
                self._delete_others(client, part, {f"{part}/{name}" for name in files})
        except AwsError as error:
            raise self._failure(error) from None
        address = self.url.rstrip("/") if self.url else f"s3://{self.bucket}"
        return f"{address}/{part}/{INDEX}"

    def publish_file(self, path: str, content: bytes, *, is_immutable: bool = False) -> None:
        client = aws_client("s3")
        try:
            with translate_aws_errors():
                client.put_object(
                    Bucket=self.bucket,
                    Key=path,
                    Body=content,
                    ContentType=_content_type(path),
                    CacheControl=IMMUTABLE if is_immutable else CACHE_CONTROL,
                )
        except AwsError as error:
            raise self._failure(error) from None

    def read(self, path: str) -> bytes:
        client = aws_client("s3")
        try:
            with translate_aws_errors():
                content: bytes = client.get_object(Bucket=self.bucket, Key=path)["Body"].read()
        except AwsError as error:
            raise self._failure(error) from None
        return content

    def _upload(self, client: Any, file: Path, key: str) -> None:
        extra = {"ContentType": _content_type(file.name), "CacheControl": CACHE_CONTROL}
        client.upload_file(str(file), self.bucket, key, ExtraArgs=extra)

    def _delete_others(self, client: Any, part: str, kept: set[str]) -> None:
        listing = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{part}/")
        old = [item["Key"] for page in listing for item in page.get("Contents", []) if item["Key"] not in kept]
        for start in range(0, len(old), DELETE_LIMIT):
            objects = [{"Key": key} for key in old[start : start + DELETE_LIMIT]]
            client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})

    def _failure(self, error: AwsError) -> AwsError:
        return AwsError(
            f"Cannot use the site in the bucket {self.bucket}: {error}. Fix DVD_RENTAL_SITE_BUCKET, or the "
            "rights of this role: it reads, writes, lists and deletes objects there.",
            error.code,
        )


def _content_type(name: str) -> str:
    if name.endswith(".parquet"):
        return "application/vnd.apache.parquet"
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    is_text = kind.startswith("text/") or kind in {"application/json", "application/javascript"}
    return f"{kind}; charset=utf-8" if is_text else kind
