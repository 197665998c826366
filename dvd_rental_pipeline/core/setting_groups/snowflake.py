"""Settings of Snowflake, as dbt and we log in to it."""

from enum import StrEnum

from pydantic import BaseModel, Field, SecretStr

from dvd_rental_pipeline.core.setting_groups.absolute_path import AbsolutePath

# Names that need no quotes: they are written into statements.
_NAME = r"^[A-Za-z_][A-Za-z0-9_$]{0,254}$"


class SnowflakeEdition(StrEnum):
    """Snowflake's edition. Only Enterprise, or a higher one, has masking policies."""

    ENTERPRISE = "enterprise"
    STANDARD = "standard"


class SnowflakeSettings(BaseModel):
    """The Snowflake account that is the warehouse in production."""

    snowflake_account: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="the Snowflake account, <organisation>-<account>",
    )
    snowflake_user: str | None = Field(
        None, pattern=_NAME, description="the Snowflake user that transforms; it logs in with a key pair"
    )
    snowflake_private_key: SecretStr | None = Field(
        None, description="the private key of that user: PEM, or base64 of DER, PKCS #8"
    )
    snowflake_private_key_path: AbsolutePath | None = Field(None, description="file of that private key, PEM")
    snowflake_private_key_passphrase: SecretStr | None = Field(
        None, description="passphrase of that key, if it has one"
    )
    snowflake_role: str = Field("TRANSFORMER", pattern=_NAME, description="the Snowflake role it transforms as")
    snowflake_warehouse: str = Field(
        "TRANSFORMING", pattern=_NAME, description="the Snowflake warehouse it transforms with"
    )
    snowflake_database: str = Field(
        "DVD_RENTALS", pattern=_NAME, description="the database of the raw tables and the models"
    )
    snowflake_edition: SnowflakeEdition = Field(
        SnowflakeEdition.ENTERPRISE,
        description="the account's edition: enterprise (or higher) masks personal columns by a policy; with "
        "standard, which has no policies, reporters read views without these columns",
    )
    snowflake_storage_role: str | None = Field(
        None,
        pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$",
        description="the AWS role with which Snowflake reads the buckets of the lake; with it, rows are loaded "
        "through an external stage in the bucket of DVD_RENTAL_PROCESSED; unset means a temporary stage inside "
        "of Snowflake",
    )
    snowflake_branch: str | None = Field(
        None,
        description="prefix of the schemas of a branch deployment; unset means its git branch",
    )
    snowflake_host: str | None = Field(
        None, description="a host other than that of the account, as for PrivateLink"
    )
    snowflake_port: int = Field(443, ge=1, le=65535, description="TCP port of that host")
    snowflake_protocol: str = Field("https", pattern=r"^https?$", description="https, or http for a stand-in")
    snowflake_login_timeout: int = Field(60, ge=1, description="seconds until a login counts as failed")
    snowflake_statement_timeout: int = Field(
        1800, ge=1, description="seconds that a statement may take, including retried requests"
    )
