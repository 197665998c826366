"""The sample databases by the name of the domain that they are a source of."""

from dvd_rental_pipeline.sample.dvd_rental.database import DVD_RENTAL_DATABASE
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.sample_database import SampleDatabase
from dvd_rental_pipeline.sample.signups_api.database import SIGNUPS_DATABASE
from dvd_rental_pipeline.sample.totesys.database import TOTESYS_DATABASE

_DATABASES = {
    "dvd_rental": DVD_RENTAL_DATABASE,
    "totesys": TOTESYS_DATABASE,
    "signups": SIGNUPS_DATABASE,
}


def sample_database(domain: str) -> SampleDatabase:
    """Return the sample database of a domain.

    Raises:
        SourceError: the domain has none.
    """
    try:
        return _DATABASES[domain]
    except KeyError:
        raise SourceError(
            f"The domain {domain} has no sample database. Those that have one: {', '.join(_DATABASES)}."
        ) from None
