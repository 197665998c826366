"""Deterministic users: the same seed, page and nationality give the same users."""

import hashlib
import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

COUNTRIES = {
    "AU": ("Australia", "Ballarat", "Victoria"),
    "BR": ("Brazil", "Sorocaba", "São Paulo"),
    "CA": ("Canada", "Lethbridge", "Alberta"),
    "CH": ("Switzerland", "Lausanne", "Vaud"),
    "DE": ("Germany", "Witten", "Nordrhein-Westfalen"),
    "DK": ("Denmark", "Aarhus", "Midtjylland"),
    "ES": ("Spain", "Ourense", "Galicia"),
    "FI": ("Finland", "Oulu", "North Ostrobothnia"),
    "FR": ("France", "Toulon", "Var"),
    "GB": ("United Kingdom", "Southport", "Merseyside"),
    "IE": ("Ireland", "Galway", "Connacht"),
    "IN": ("India", "Salem", "Tamil Nadu"),
    "IR": ("Iran", "Qom", "قم"),
    "MX": ("Mexico", "Celaya", "Guanajuato"),
    "NL": ("Netherlands", "Apeldoorn", "Gelderland"),
    "NO": ("Norway", "Bergen", "Vestland"),
    "NZ": ("New Zealand", "Hamilton", "Waikato"),
    "RS": ("Serbia", "Niš", "Nišava"),
    "TR": ("Turkey", "Sivas", "Sivas"),
    "UA": ("Ukraine", "Sumy", "Сумська"),
    "US": ("United States", "Akron", "Ohio"),
}
"""Country, city and state by the nationality that a request may ask for."""

_USERS_PER_CUSTOMER = 20
_TEXT_POSTCODES = {"GB": "PR8 1AA", "CA": "T1H 0A1"}
_WITHOUT_ID = {"IR", "NZ", "TR", "UA"}
_NAMES = {
    "female": ("Ms", ["Ada", "Chloé", "Ingrid", "Leyla", "María", "Olena", "Priya", "Zoë"]),
    "male": ("Mr", ["Aarav", "Björn", "Émile", "Jonas", "Luís", "Murat", "Noah", "Tane"]),
}
_LAST_NAMES = [
    "Andersen",
    "Bakker",
    "Costa",
    "Dubois",
    "Garcia",
    "Müller",
    "O'Brien",
    "Petrović",
    "Singh",
    "Şahin",
]


def build_user(random_: random.Random, nationality: str, now: datetime) -> dict[str, Any]:
    """Return one user, as the API gives it. Its ages are those at `now`, as in the real API."""
    country, city, state = COUNTRIES[nationality]
    gender = random_.choice(sorted(_NAMES))
    title, first_names = _NAMES[gender]
    first, last = random_.choice(first_names), random_.choice(_LAST_NAMES)
    born = datetime(1945, 1, 1, tzinfo=UTC) + timedelta(seconds=random_.randrange(60 * 365 * 86_400))
    registered = datetime(2005, 1, 1, tzinfo=UTC) + timedelta(seconds=random_.randrange(17 * 365 * 86_400))
    # No two of them have the same, in years.
    username = f"user{random_.randrange(10**14)}"
    password, salt = f"{random_.getrandbits(40):010x}", f"{random_.getrandbits(32):08x}"
    portrait = f"{'women' if gender == 'female' else 'men'}/{random_.randrange(100)}.jpg"
    return {
        "gender": gender,
        "name": {"title": title, "first": first, "last": last},
        "location": {
            "street": {"number": random_.randrange(1, 9999), "name": f"{random_.choice(_LAST_NAMES)} Street"},
            "city": city,
            "state": state,
            "country": country,
            "postcode": _TEXT_POSTCODES.get(nationality) or random_.randrange(10_000, 99_999),
            "coordinates": {
                "latitude": f"{random_.uniform(-90, 90):.4f}",
                "longitude": f"{random_.uniform(-180, 180):.4f}",
            },
            "timezone": {"offset": "+1:00", "description": "Brussels, Copenhagen, Madrid, Paris"},
        },
        "email": f"{username}@example.com",
        "login": {
            "uuid": str(uuid.UUID(int=random_.getrandbits(128), version=4)),
            "username": username,
            "password": password,
            "salt": salt,
            # The real API gives these three.
            "md5": hashlib.md5((password + salt).encode()).hexdigest(),  # noqa: S324
            "sha1": hashlib.sha1((password + salt).encode()).hexdigest(),  # noqa: S324
            "sha256": hashlib.sha256((password + salt).encode()).hexdigest(),
        },
        "dob": {"date": _iso(born), "age": _years(born, now)},
        "registered": {"date": _iso(registered), "age": _years(registered, now)},
        "phone": f"0{random_.randrange(10**8, 10**9)}",
        "cell": f"0{random_.randrange(10**8, 10**9)}",
        "id": {"name": "", "value": None}
        if nationality in _WITHOUT_ID
        else {"name": "ID", "value": f"{random_.randrange(10**9):09}"},
        "picture": {
            size: f"https://example.com/portraits/{size}/{portrait}"
            for size in ("large", "medium", "thumbnail")
        },
        "nat": nationality,
    }


def build_page(
    seed: str,
    page: int,
    results: int,
    nationalities: Sequence[str],
    now: datetime,
    *,
    customers: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the document of one page: `results` users of `nationalities`, and its `info`.

    One user in 20 is a customer, if `customers` has the e-mail addresses of some.
    """
    random_ = random.Random(f"{seed}/{page}/{','.join(nationalities)}")
    users = [build_user(random_, random_.choice(nationalities), now) for _ in range(results)]
    if customers:
        for number in range(results):
            if (page * results + number) % _USERS_PER_CUSTOMER == 0:
                users[number] = _build_customer(random_.choice(customers), nationalities, now)
    return {
        "results": users,
        "info": {"seed": seed, "results": results, "page": page, "version": "1.4"},
    }


def _build_customer(email: str, nationalities: Sequence[str], now: datetime) -> dict[str, Any]:
    """The user of a customer: the same for each call, so that a customer has one user."""
    random_ = random.Random(f"{email}/{','.join(nationalities)}")
    return {**build_user(random_, random_.choice(nationalities), now), "email": email}


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _years(since: datetime, now: datetime) -> int:
    return now.year - since.year - ((now.month, now.day) < (since.month, since.day))
