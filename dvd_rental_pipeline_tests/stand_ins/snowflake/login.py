"""Key-pair login: the check that Snowflake makes of the JWT of a client."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey


class RefusedLoginError(Exception):
    """The login carries no token, or one that the user's key did not sign."""


def verify(login: Mapping[str, Any], public_keys: Mapping[str, str]) -> None:
    """Let pass the `data` of a login request whose token the user's key has signed.

    `public_keys` holds the public key of each user, as PEM, by the user's name in upper case.

    Raises:
        RefusedLoginError: it is no such login.
    """
    if login.get("AUTHENTICATOR") != "SNOWFLAKE_JWT":
        raise RefusedLoginError("not a key-pair login")
    account, user = login["ACCOUNT_NAME"].upper(), login["LOGIN_NAME"].upper()
    if user not in public_keys:
        raise RefusedLoginError("unknown user")
    key = serialization.load_pem_public_key(public_keys[user].encode())
    assert isinstance(key, RSAPublicKey)
    try:
        claims = jwt.decode(login["TOKEN"], key, algorithms=["RS256"])
    except jwt.InvalidTokenError as error:
        raise RefusedLoginError(str(error)) from error
    # The part of an account's host that names a region is none of its name.
    subject = f"{account.partition('.')[0]}.{user}"
    if claims["sub"] != subject or claims["iss"] != f"{subject}.{fingerprint(key)}":
        raise RefusedLoginError("the token is for another user or key")


def fingerprint(key: RSAPublicKey) -> str:
    """As `describe user` shows it in RSA_PUBLIC_KEY_FP."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()
