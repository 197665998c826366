"""Writes the CSV files: one per month, a second one of the EMEA region with its own format, and corrections.

The same seed gives the same bytes, whichever months are asked for.
"""

import calendar
import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from random import Random

from dvd_rental_pipeline.sample.sales.master_data import (
    CENT,
    FIRST_MONTH,
    Customer,
    Product,
    customers_on,
    products_on,
)

HEADER = (
    "ORDERNUMBER", "ORDERLINENUMBER", "ORDERDATE", "SHIPDATE", "STATUS", "QUANTITYORDERED", "PRICEEACH",
    "PRODUCTCODE", "PRODUCTLINE", "LISTPRICE", "CUSTOMERNAME", "CONTACTNAME", "PHONE", "ADDRESS", "CITY",
    "STATE", "POSTALCODE", "COUNTRY", "TERRITORY", "DEALSIZE",
)  # fmt: skip
ORDERS_PER_MONTH = 60
STATUS_WEIGHTS = {"Shipped": 88, "In Process": 4, "Cancelled": 3, "On Hold": 3, "Disputed": 2}
# The export of this region: semicolons, decimal commas, Latin-1.
REGION = "EMEA"
FORMATS = [
    {
        "files": f"sales_*_{REGION.lower()}*.csv",
        "encoding": "latin-1",
        "delimiter": ";",
        "decimal": ",",
        "thousands": ".",
        "dates": ["%d.%m.%Y"],
    }
]

Row = dict[str, str]


def generate_sales(
    folder: Path,
    *,
    months: int = 24,
    seed: int = 42,
    orders: int = ORDERS_PER_MONTH,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Sequence[Path]:
    """Write the files of `months` months with about `orders` orders each; returns them in order of their month.

    Each gets an empty file `NAME.done` once it is complete. Every sixth month has a correction, which is a file
    of its own with the revision in its name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "formats.json", json.dumps(FORMATS, indent=2).encode())
    files = []
    for number in range(months):
        month = _add_months(FIRST_MONTH, number)
        on_progress(f"sales of {month:%Y-%m}")
        rows = list(month_rows(month, seed=seed, orders=orders))
        contents = {
            f"sales_{month:%Y-%m}.csv": _encode([row for row in rows if row["TERRITORY"] != REGION]),
            f"sales_{month:%Y-%m}_{REGION.lower()}.csv": _encode_region(rows),
        }
        if number % 6 == 5:
            corrected = [_corrected(row) for row in rows if row["TERRITORY"] != REGION]
            contents[f"sales_{month:%Y-%m}.r2.csv"] = _encode(corrected)
        for name, content in contents.items():
            _write(folder / name, content)
            _write(folder / f"{name}.done", b"")
            files.append(folder / name)
    return files


def month_rows(month: date, *, seed: int = 42, orders: int = ORDERS_PER_MONTH) -> Iterator[Row]:
    """The order lines of a month as texts by column; about one of 400 is not valid."""
    random = Random(f"{seed} {month:%Y-%m}")
    days = calendar.monthrange(month.year, month.month)[1]
    for number in range(orders):
        day = month + timedelta(days=number * days // orders)
        customers, products = customers_on(day, seed), products_on(day, seed)
        customer = random.choice(customers)
        status = random.choices(tuple(STATUS_WEIGHTS), tuple(STATUS_WEIGHTS.values()))[0]
        ships = day + timedelta(days=min(random.randrange(1, 9), random.randrange(1, 30)))
        for line, product in enumerate(random.sample(products, random.randrange(1, 9)), start=1):
            row = _line(random, day, customer, product)
            row["ORDERNUMBER"] = f"{month:%y%m}{number:05}"
            row["ORDERLINENUMBER"] = str(line)
            row["STATUS"] = status
            row["SHIPDATE"] = ships.isoformat() if status in ("Shipped", "Disputed") else ""
            if random.randrange(400) == 0:
                row["QUANTITYORDERED"] = random.choice(("-5", "many", ""))
            yield row


def _line(random: Random, day: date, customer: Customer, product: Product) -> Row:
    quantity = random.randrange(10, 60)
    discount = Decimal(random.choice((0, 0, 0, 5, 10, 15, 20))) / 100
    price = (product.list_price * (1 - discount)).quantize(CENT, ROUND_HALF_UP)
    amount = price * quantity
    return {
        "ORDERNUMBER": "",
        "ORDERLINENUMBER": "",
        "ORDERDATE": day.isoformat(),
        "SHIPDATE": "",
        "STATUS": "",
        "QUANTITYORDERED": str(quantity),
        "PRICEEACH": str(price),
        "PRODUCTCODE": product.code,
        "PRODUCTLINE": product.line,
        "LISTPRICE": str(product.list_price),
        "CUSTOMERNAME": customer.name,
        "CONTACTNAME": customer.contact,
        "PHONE": customer.phone,
        "ADDRESS": customer.address,
        "CITY": customer.city,
        "STATE": customer.state,
        "POSTALCODE": customer.postal_code,
        "COUNTRY": customer.country,
        "TERRITORY": customer.territory,
        "DEALSIZE": "Small" if amount < 2000 else "Medium" if amount < 5000 else "Large",
    }


def _corrected(row: Row) -> Row:
    """What the exporting system corrected later: orders in process were shipped."""
    if row["STATUS"] != "In Process":
        return row
    ships = date.fromisoformat(row["ORDERDATE"]) + timedelta(days=40)
    return {**row, "STATUS": "Shipped", "SHIPDATE": ships.isoformat()}


def _encode(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _encode_region(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER, delimiter=";")
    writer.writeheader()
    for row in rows:
        if row["TERRITORY"] == REGION:
            amounts = {name: row[name].replace(".", ",") for name in ("PRICEEACH", "LISTPRICE")}
            dates = {
                name: f"{date.fromisoformat(row[name]):%d.%m.%Y}"
                for name in ("ORDERDATE", "SHIPDATE")
                if row[name]
            }
            writer.writerow({**row, **amounts, **dates})
    return text.getvalue().encode("latin-1")


def _write(path: Path, content: bytes) -> None:
    """Under another name first, so that no reader sees half of it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _add_months(month: date, number: int) -> date:
    years, index = divmod(month.month - 1 + number, 12)
    return date(month.year + years, index + 1, 1)
