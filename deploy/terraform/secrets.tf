# Secrets are made empty. A person, or whoever rotates them, puts the values in: so they stand in no Terraform state.

resource "aws_secretsmanager_secret" "settings" {
  name        = "${var.name}/settings"
  description = "Settings of the pipeline: a JSON object of DVD_RENTAL_..., AIRBYTE_... and SNOWFLAKE_... variables."
}
