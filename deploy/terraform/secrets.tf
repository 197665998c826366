# Secrets are created empty and filled in by an administrator, so that no Terraform state contains a value.

locals {
  settings_place = var.settings_object == "" ? "secretsmanager://${var.name}/settings" : "s3://${var.settings_object}"
}

resource "aws_secretsmanager_secret" "settings" {
  count = var.settings_object == "" ? 1 : 0

  name        = "${var.name}/settings"
  description = "Settings of the pipeline: a JSON object of DVD_RENTAL_..., AIRBYTE_... and SNOWFLAKE_... variables."
}
