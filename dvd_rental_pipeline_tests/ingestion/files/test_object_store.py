"""A folder and a bucket behave alike as object stores."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest

from dvd_rental_pipeline.core.catalog import Column
from dvd_rental_pipeline.ingestion.files.object_store import (
    ObjectExistsError,
    ObjectStore,
    ObjectStoreError,
    open_store,
)
from dvd_rental_pipeline.ingestion.files.parquet_session import open_parquet_session
from dvd_rental_pipeline_tests.stand_ins.aws import REGION


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "folder":
        yield open_store(str(tmp_path / "store"))
        return
    request.getfixturevalue("aws")
    boto3.client("s3").create_bucket(Bucket="landing", CreateBucketConfiguration={"LocationConstraint": REGION})
    yield open_store("s3://landing/zone")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"first")
    return path


def test_new_object_is_never_overwritten(store: ObjectStore, file: Path) -> None:
    store.put_new("a/b/one", file)
    file.write_bytes(b"second")

    with pytest.raises(ObjectExistsError, match="never overwritten"):
        store.put_new("a/b/one", file)

    assert store.read("a/b/one") == b"first"
    store.replace("a/b/one", file)
    assert store.read("a/b/one") == b"second"


def test_of_concurrent_writers_one_wins(store: ObjectStore, file: Path) -> None:
    def put(_: int) -> bool:
        try:
            store.put_new("one", file)
        except ObjectExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(put, range(8))) == 1


def test_keys_are_sorted_and_by_prefix(store: ObjectStore, file: Path) -> None:
    for key in ("t/2", "t/1/x", "tt/1"):
        store.put_new(key, file)

    assert store.keys("t/") == ["t/1/x", "t/2"]
    store.delete("t/2")
    store.delete("t/2")
    assert store.keys("") == ["t/1/x", "tt/1"]
    assert store.keys("absent/") == []


def test_missing_object_is_reported_with_its_address(store: ObjectStore) -> None:
    with pytest.raises(ObjectStoreError, match=r"Cannot read .*absent"):
        store.read("absent")


@pytest.mark.parametrize("key", ["../secret", "a/../../secret", "/etc/passwd"])
def test_no_key_leads_out_of_a_folder(tmp_path: Path, file: Path, key: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    store = open_store(str(tmp_path / "store"))
    for request in (
        lambda: store.read(key),
        lambda: store.replace(key, file),
        lambda: store.put_new(key, file),
        lambda: store.delete(key),
        lambda: store.address(key),
        lambda: store.keys(f"{key}/"),
    ):
        with pytest.raises(ObjectStoreError, match="leads out of"):
            request()
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_parquet_is_read_where_it_is(store: ObjectStore) -> None:
    columns = (Column("id", "integer", ""), Column("it's", "text", ""))
    with open_parquet_session() as session:
        for number in (1, 2):
            file, rows = session.write(f"select {number}::integer as id, 'x' as \"it's\"", "new.parquet")
            assert rows == 1
            store.put_new(f"table/it's {number}.parquet", file)
        session.create_view("t", columns, store, {f"table/it's {number}.parquet": number for number in (1, 2)})

        assert session.rows("select * from t order by id") == [(1, "x", 1), (2, "x", 2)]
        session.create_view("t", columns, store, {})
        assert session.rows("select * from t") == []
