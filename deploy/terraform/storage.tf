# Buckets: all versioned, encrypted, not public, TLS only, with lifecycle rules.

data "aws_caller_identity" "current" {}

locals {
  buckets = {
    landing   = "Landed files, never changed."
    processed = "Landed files, transformed to the tables of the warehouse."
    site      = "Published pages."
    logs      = "Output of the steps of runs."
  }
}

resource "aws_s3_bucket" "this" {
  for_each = local.buckets

  # Bucket names are global: the account makes them unique.
  bucket = "${var.name}-${each.key}-${data.aws_caller_identity.current.account_id}"

  tags = {
    holds = each.value
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    bucket_key_enabled = each.key != "site"

    apply_server_side_encryption_by_default {
      # CloudFront cannot decrypt with the AWS managed KMS key.
      sse_algorithm = each.key == "site" ? "AES256" : "aws:kms"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = aws_s3_bucket.this

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [each.value.arn, "${each.value.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }],
      each.key != "site" || local.site_distribution_arn == "" ? [] : [{
        Sid       = "CloudFront"
        Effect    = "Allow"
        Principal = { Service = "cloudfront.amazonaws.com" }
        Action    = "s3:GetObject"
        Resource  = "${each.value.arn}/*"
        Condition = { StringEquals = { "aws:SourceArn" = local.site_distribution_arn } }
      }],
    )
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    id     = "tidy"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }

    noncurrent_version_expiration {
      noncurrent_days = 90
    }

    dynamic "transition" {
      for_each = each.key == "landing" ? [1] : []

      content {
        days          = 90
        storage_class = "STANDARD_IA"
      }
    }

    dynamic "expiration" {
      for_each = each.key == "logs" ? [1] : []

      content {
        days = 90
      }
    }
  }

  dynamic "rule" {
    for_each = each.key == "processed" ? [1] : []

    content {
      id     = "interrupted-loads"
      status = "Enabled"

      filter {
        prefix = "_loads/"
      }

      expiration {
        days = 1
      }

      noncurrent_version_expiration {
        noncurrent_days = 1
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_ecr_repository" "this" {
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name

  policy = jsonencode({
    rules = [
      {
        # An image that one rule selects is left alone by those after it: the deployed one never expires.
        rulePriority = 1
        description  = "Keep the deployed image."
        selection = {
          tagStatus      = "tagged"
          tagPatternList = [var.image_tag]
          countType      = "imageCountMoreThan"
          countNumber    = 1
        }
        action = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Keep the last thirty others for rollbacks."
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 30 }
        action       = { type = "expire" }
      },
    ]
  })
}
