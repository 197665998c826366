output "repository_url" {
  description = "ECR repository to push the image to."
  value       = aws_ecr_repository.this.repository_url
}

output "buckets" {
  description = "Names of the buckets."
  value       = { for name, bucket in aws_s3_bucket.this : name => bucket.id }
}

output "settings_place" {
  description = "Location of the settings, as DVD_RENTAL_SECRETS names it; an administrator fills them in."
  value       = local.settings_place
}

output "alerts_topic" {
  description = "SNS topic of alerts and alarms."
  value       = aws_sns_topic.alerts.arn
}

output "cluster" {
  description = "Name of the cluster."
  value       = aws_ecs_cluster.this.name
}

output "webserver_address" {
  description = "Address of the web server inside the VPC, for the allowed security groups."
  value       = local.services ? "http://webserver.${var.name}.internal:3000" : null
}

output "task_security_group_id" {
  description = "Security group of the tasks; allow it in the source database's."
  value       = aws_security_group.tasks.id
}

output "source_parameter_group" {
  description = "Parameter group for the source database."
  value       = one(aws_db_parameter_group.source[*].name)
}

output "site_address" {
  description = "Address of the pages, for site_url."
  value       = one([for site in aws_cloudfront_distribution.site : "https://${site.domain_name}"])
}

output "snowflake_role" {
  description = "Role with which Snowflake reads the lake, as DVD_RENTAL_SNOWFLAKE_STORAGE_ROLE names it."
  value       = one(aws_iam_role.snowflake[*].arn)
}
