"""Sales files as a test wants them."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from dvd_rental_pipeline.pipelines.sales.columns import FILE_COLUMNS

HEADER = [column.name for column in FILE_COLUMNS]
LINE = {
    "order_number": "10100",
    "order_line": "1",
    "order_date": "2024-03-05",
    "ship_date": "2024-03-09",
    "status": "Shipped",
    "quantity": "30",
    "unit_price": "95.70",
    "product_code": "S10_1678",
    "product_line": "Motorcycles",
    "list_price": "95.70",
    "customer_name": "Land of Toys, Inc.",
    "contact_name": "Kwai Yu",
    "phone": "2125557818",
    "address": "897 Long Airport Avenue",
    "city": "NYC",
    "state": "NY",
    "postal_code": "10022",
    "country": "USA",
    "territory": "NA",
    "deal_size": "Small",
}


def order_line(**values: str) -> dict[str, str]:
    """A valid order line of March 2024, with other `values`."""
    return {**LINE, **values}


def csv_text(rows: Sequence[Mapping[str, str]], *, header: Sequence[str] = HEADER, delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, delimiter=delimiter, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def drop(folder: Path, name: str, content: str | bytes) -> None:
    """Drop a complete file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / f"{name}.done").touch()
