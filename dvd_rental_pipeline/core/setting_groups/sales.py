"""Settings of the sales pipeline."""

from pydantic import BaseModel, Field


class SalesSettings(BaseModel):
    """Where sales files are dropped."""

    sales_files: str | None = Field(
        None, description="folder or s3://BUCKET/PREFIX of the sales files; unset means a folder under home"
    )
