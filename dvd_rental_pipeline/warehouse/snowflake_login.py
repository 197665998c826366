"""How the pipeline logs in to Snowflake: account, user, role, and a private key."""

import base64
import binascii
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from dvd_rental_pipeline.core.settings import Settings, SettingsError


@dataclass(frozen=True)
class SnowflakeLogin:
    """Address, user and key of a session. The repr shows neither the key nor its passphrase.

    `key` is the private key as PEM or base64 of DER, or the path of a PEM file; timeouts are in seconds.
    """

    account: str
    user: str
    key: str | Path = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)
    role: str = "TRANSFORMER"
    warehouse: str = "TRANSFORMING"
    database: str | None = "DVD_RENTALS"
    host: str | None = None
    port: int = 443
    protocol: str = "https"
    login_timeout: int = 60
    statement_timeout: int = 1800

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The login that `settings` describe.

        Raises:
            SettingsError: a setting is missing.
        """
        settings.require_snowflake()
        secret, passphrase = settings.snowflake_private_key, settings.snowflake_private_key_passphrase
        return cls(
            account=str(settings.snowflake_account),
            user=str(settings.snowflake_user),
            key=secret.get_secret_value() if secret else Path(str(settings.snowflake_private_key_path)),
            passphrase=passphrase.get_secret_value() if passphrase else None,
            role=settings.snowflake_role,
            warehouse=settings.snowflake_warehouse,
            database=settings.snowflake_database,
            host=settings.snowflake_host,
            port=settings.snowflake_port,
            protocol=settings.snowflake_protocol,
            login_timeout=settings.snowflake_login_timeout,
            statement_timeout=settings.snowflake_statement_timeout,
        )

    @property
    def address(self) -> str:
        """The host that requests are sent to."""
        return self.host or f"{self.account}.snowflakecomputing.com"


def read_private_key(key: str | Path, passphrase: str | None) -> RSAPrivateKey | bytes:
    """The private key as the connector expects it; one that is not RSA as DER, PKCS #8, not encrypted.

    Raises:
        SettingsError: the file is missing or contains no key, or the passphrase is missing or wrong.
    """
    if isinstance(key, Path):
        variable, origin = "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH", str(key)
        try:
            content = key.read_bytes()
        except OSError as error:
            raise SettingsError(
                f"Cannot read the private key {origin}: {error.strerror}. Fix {variable}."
            ) from None
    else:
        variable, origin = "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY", "its value"
        content = key.strip().encode()
    secret = passphrase.encode() if passphrase else None
    try:
        return _load_private_key(content, secret)
    except TypeError:
        reason = "it needs a passphrase" if secret is None else "it has no passphrase"
        raise SettingsError(
            f"Cannot open the private key of {variable}: {reason}. "
            "Fix DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PASSPHRASE."
        ) from None
    except (ValueError, UnsupportedAlgorithm, binascii.Error):
        raise SettingsError(
            f"Cannot open the private key of {variable}: {origin} is not a key in PEM or base64 of DER, or the "
            "passphrase in DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PASSPHRASE is wrong."
        ) from None


# Loading tests whether the factors are primes, which takes 0.07 s; with DER the connector would repeat it.
@lru_cache(maxsize=8)
def _load_private_key(content: bytes, passphrase: bytes | None) -> RSAPrivateKey | bytes:
    if content.lstrip().startswith(b"-----BEGIN"):
        loaded = serialization.load_pem_private_key(content, passphrase)
    else:
        loaded = serialization.load_der_private_key(base64.b64decode(content, validate=True), passphrase)
    if isinstance(loaded, RSAPrivateKey):
        return loaded
    return loaded.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
