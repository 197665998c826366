terraform {
  # 1.11, and 5.87 of the provider, introduced write-only attributes.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.90, < 6"
    }
  }

  # State stays in this folder until you add a backend: see docs/production.md.
}

provider "aws" {
  region = var.region

  # For a stand-in of AWS, whose address is in AWS_ENDPOINT_URL.
  s3_use_path_style           = var.stand_in
  skip_credentials_validation = var.stand_in
  skip_metadata_api_check     = var.stand_in

  default_tags {
    tags = {
      project = var.name
    }
  }
}
