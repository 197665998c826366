"""Products and customers of the sample sales, and how they change: prices rise, customers move."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from random import Random

FIRST_MONTH = date(2023, 1, 1)
CUSTOMERS = 60
PRODUCTS = 40
CENT = Decimal("0.01")

_LINES = (
    ("Classic Cars", "S10", Decimal(95)),
    ("Motorcycles", "S12", Decimal(80)),
    ("Planes", "S18", Decimal(70)),
    ("Ships", "S24", Decimal(85)),
    ("Trains", "S32", Decimal(65)),
    ("Vintage Cars", "S50", Decimal(75)),
)
# Country, territory, city, state, prefix of phone numbers.
_PLACES = (
    ("USA", "NA", "Boston", "MA", "+1 617"),
    ("USA", "NA", "San Francisco", "CA", "+1 415"),
    ("Canada", "NA", "Vancouver", "BC", "+1 604"),
    ("France", "EMEA", "Nantes", "", "+33 2"),
    ("France", "EMEA", "Besançon", "", "+33 3"),
    ("Germany", "EMEA", "Köln", "", "+49 221"),
    ("Norway", "EMEA", "Tromsø", "", "+47 77"),
    ("Spain", "EMEA", "Málaga", "", "+34 95"),
    ("Australia", "APAC", "Melbourne", "Victoria", "+61 3"),
    ("Singapore", "APAC", "Singapore", "", "+65"),
    ("Japan", "Japan", "Osaka", "Osaka", "+81 6"),
)
_FIRST = ("Atelier", "Baan", "Classic", "Danish", "Euro", "Gift", "Land", "Mini", "Salzburg", "Toys")
_SECOND = ("Graphique", "Collectables", "Gifts, Inc.", "Imports", "Shopping & Co", "Wheels")
_STREETS = ("Rue Royale", "Spinnaker Dr.", "Calle Mayor")
_PEOPLE = ("Ana Suárez", "Jean King", "Kee Kuo", "Leslie Murphy", "Mary Young", "Paul Henriot", "Yu Choi")


@dataclass(frozen=True)
class Product:
    """A product and its list price on a day."""

    code: str
    line: str
    list_price: Decimal


@dataclass(frozen=True)
class Customer:
    """A customer and where it is on a day."""

    name: str
    contact: str
    phone: str
    address: str
    city: str
    state: str
    postal_code: str
    country: str
    territory: str


@lru_cache(maxsize=64)
def products_on(day: date, seed: int) -> tuple[Product, ...]:
    """All products, with the list prices of `day`: each rises by some percent about once a year."""
    products = []
    for number in range(PRODUCTS):
        random = Random(f"{seed} product {number}")
        line, prefix, base = _LINES[number % len(_LINES)]
        price = base + Decimal(random.randrange(0, 9000)) / 100
        change = FIRST_MONTH + timedelta(days=random.randrange(20, 380))
        while change <= day:
            price *= 1 + Decimal(random.randrange(2, 9)) / 100
            change += timedelta(days=random.randrange(300, 420))
        rounded = price.quantize(CENT, ROUND_HALF_UP)
        products.append(Product(f"{prefix}_{1000 + number * 37}", line, rounded))
    return tuple(products)


@lru_cache(maxsize=64)
def customers_on(day: date, seed: int) -> tuple[Customer, ...]:
    """The customers that buy on `day`, with their addresses: some move, some start later, some stop."""
    customers = []
    for number in range(CUSTOMERS):
        random = Random(f"{seed} customer {number}")
        country, territory, city, state, prefix = _PLACES[number % len(_PLACES)]
        customer = Customer(
            name=f"{_FIRST[number % 10]} {_SECOND[number // 10]}",
            contact=random.choice(_PEOPLE),
            phone=f"{prefix} {random.randrange(100, 999)} {random.randrange(1000, 9999)}",
            address=f"{random.randrange(1, 999)} {random.choice(_STREETS)}",
            city=city,
            state=state,
            postal_code=f"{random.randrange(10000, 99999)}",
            country=country,
            territory=territory,
        )
        starts = FIRST_MONTH + timedelta(days=random.choice((0, 0, 0, random.randrange(1, 600))))
        stops = starts + timedelta(days=random.choice((10_000, 10_000, random.randrange(200, 700))))
        moves = FIRST_MONTH + timedelta(days=random.randrange(30, 1200))
        if moves <= day:
            customer = replace(
                customer,
                address=f"{random.randrange(1, 99)} Harbour Road, 2nd floor",
                postal_code=f"{random.randrange(10000, 99999)}",
            )
        if starts <= day < stops:
            customers.append(customer)
    return tuple(customers)
