terraform {
  # Values that are never written into the state came with 1.11, and with 5.87 of the provider.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.90, < 6"
    }
  }

  # State stays in this folder until a backend is added: see docs/production.md.
}

provider "aws" {
  region = var.region

  # For an endpoint that stands in for AWS; its address comes from AWS_ENDPOINT_URL.
  s3_use_path_style           = var.stand_in
  skip_credentials_validation = var.stand_in
  skip_metadata_api_check     = var.stand_in

  default_tags {
    tags = {
      project = var.name
    }
  }
}
