# The role with which Snowflake reads the lake, through its storage integration.

locals {
  lake_arns = [for bucket in ["landing", "processed"] : aws_s3_bucket.this[bucket].arn]
}

resource "aws_iam_role" "snowflake" {
  count = var.snowflake_reader == null ? 0 : 1

  name        = "${var.name}-snowflake"
  description = "Snowflake: reads the landed and the processed files"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = var.snowflake_reader.user_arn }
      Condition = { StringEquals = { "sts:ExternalId" = var.snowflake_reader.external_id } }
    }]
  })
}

resource "aws_iam_role_policy" "snowflake" {
  count = length(aws_iam_role.snowflake)

  name = "snowflake"
  role = aws_iam_role.snowflake[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadLake"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:GetObjectVersion"]
        Resource = [for arn in local.lake_arns : "${arn}/*"]
      },
      {
        Sid      = "ListLake"
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:GetBucketLocation"]
        Resource = local.lake_arns
      },
    ]
  })
}
