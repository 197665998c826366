output "repository_url" {
  description = "Where the image is pushed."
  value       = aws_ecr_repository.this.repository_url
}

output "buckets" {
  description = "Names of the buckets."
  value       = { for name, bucket in aws_s3_bucket.this : name => bucket.id }
}

output "settings_place" {
  description = "Where the settings stand, which a person fills in, as DVD_RENTAL_SECRETS names it."
  value       = local.settings_place
}

output "alerts_topic" {
  description = "Topic of alerts and alarms."
  value       = aws_sns_topic.alerts.arn
}

output "cluster" {
  description = "Name of the cluster."
  value       = aws_ecs_cluster.this.name
}

output "webserver_address" {
  description = "Where the security groups that may can open the web server, inside the VPC."
  value       = local.services ? "http://webserver.${var.name}.internal:3000" : null
}

output "task_security_group_id" {
  description = "Security group of the tasks: let it reach the source database."
  value       = aws_security_group.tasks.id
}

output "source_parameter_group" {
  description = "Parameter group for the source database."
  value       = one(aws_db_parameter_group.source[*].name)
}
