"""Settings of AWS. Region and credentials are AWS's own variables."""

from pydantic import BaseModel, Field


class AwsSettings(BaseModel):
    """The AWS resources to use; what is unset stays on this machine, in any deployment."""

    secrets: str | None = Field(
        None, description="location of more settings: secretsmanager://NAME or s3://BUCKET/KEY"
    )
    site_bucket: str | None = Field(None, description="S3 bucket of the pages; unset means a folder under home")
    site_url: str | None = Field(None, description="address at which browsers see that bucket")
    alerts_topic: str | None = Field(
        None, pattern=r"^arn:aws[a-z-]*:sns:", description="ARN of the SNS topic of alerts; unset means the log"
    )
    log_group: str | None = Field(
        None, description="CloudWatch log group of runs; unset means lines of JSON on stderr"
    )
