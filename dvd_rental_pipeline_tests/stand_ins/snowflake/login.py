"""Key-pair login: verification of the JWT of a client, as in Snowflake."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey


class RefusedLoginError(Exception):
    """The login has no token, or one that is not signed with the key of the user."""


def verify(login: Mapping[str, Any], public_keys: Mapping[str, str]) -> None:
    """Verify that the token in the `data` of a login request is signed with the key of the user.

    Args:
        login: the `data` of the request.
        public_keys: PEM by name of the user, in upper case.

    Raises:
        RefusedLoginError: the token is missing or invalid.
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
    # The host of an account may name a region, which is not a part of the account's name.
    subject = f"{account.partition('.')[0]}.{user}"
    if claims["sub"] != subject or claims["iss"] != f"{subject}.{fingerprint(key)}":
        raise RefusedLoginError("the token is for another user or key")


def fingerprint(key: RSAPublicKey) -> str:
    """The value of RSA_PUBLIC_KEY_FP in `describe user`."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()
