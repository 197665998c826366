"""Settings of the lake: landed and processed files."""

from pydantic import BaseModel, Field, SecretStr


class LakeSettings(BaseModel):
    """Where files are, and the source of the totesys pipeline that fills them."""

    landing: str | None = Field(
        None, description="landing zone: a folder, or s3://BUCKET/PREFIX; unset means a folder under home"
    )
    processed: str | None = Field(
        None, description="processed zone: a folder, or s3://BUCKET/PREFIX; unset means a folder under home"
    )
    totesys_source_url: SecretStr | None = Field(
        None, description="an external totesys PostgreSQL; unset means the embedded one"
    )
