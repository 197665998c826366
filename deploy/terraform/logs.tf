# Log groups, the metrics filtered from them, and alarms on those metrics.

locals {
  log_groups = merge(
    { runs = "/${var.name}/runs", tasks = "/${var.name}/tasks" },
    local.services ? { services = "/${var.name}/services" } : {},
  )
  metrics = {
    RunFailures  = "{ $.event = \"RUN_FAILURE\" }"
    RunSuccesses = "{ $.event = \"RUN_SUCCESS\" }"
    StepFailures = "{ $.event = \"STEP_FAILURE\" }"
    FailedChecks = "{ $.passed IS FALSE }"
  }
  metric_namespace = "DvdRental"
}

resource "aws_cloudwatch_log_group" "this" {
  for_each = local.log_groups

  name              = each.value
  retention_in_days = var.log_retention_days
}

resource "aws_cloudwatch_log_metric_filter" "runs" {
  for_each = local.metrics

  name           = each.key
  log_group_name = aws_cloudwatch_log_group.this["runs"].name
  pattern        = each.value

  metric_transformation {
    namespace = local.metric_namespace
    name      = each.key
    value     = "1"
    unit      = "Count"
  }
}

# A run that was killed, or whose task did not start, cannot log its failure. The daemon logs that it gives it up.
resource "aws_cloudwatch_log_metric_filter" "lost_runs" {
  count = local.services ? 1 : 0

  name           = "LostRuns"
  log_group_name = aws_cloudwatch_log_group.this["services"].name
  pattern        = "?\"Marking run\" ?\"Run timed out due to taking longer than\" ?\"has exceeded maximum runtime\""

  metric_transformation {
    namespace = local.metric_namespace
    name      = "RunFailures"
    value     = "1"
    unit      = "Count"
  }
}

resource "aws_sns_topic" "alerts" {
  name              = "${var.name}-alerts"
  kms_master_key_id = aws_kms_alias.alerts.name
}

# CloudWatch has no access to the AWS managed key of SNS: with that key, alarms would be lost silently.
resource "aws_kms_key" "alerts" {
  description             = "Alerts of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 7

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${data.aws_caller_identity.current.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = {
          StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id }
        }
      },
    ]
  })
}

resource "aws_kms_alias" "alerts" {
  name          = "alias/${var.name}-alerts"
  target_key_id = aws_kms_key.alerts.key_id
}

resource "aws_sns_topic_subscription" "email" {
  for_each = toset(var.alert_emails)

  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "runs_fail" {
  alarm_name          = "${var.name}-runs-fail"
  alarm_description   = "A run failed. The log group ${aws_cloudwatch_log_group.this["runs"].name} has the reason."
  namespace           = local.metric_namespace
  metric_name         = aws_cloudwatch_log_metric_filter.runs["RunFailures"].metric_transformation[0].name
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]
}

# Catches what fails silently: a stopped schedule or daemon, a task that does not start, a missing right.
resource "aws_cloudwatch_metric_alarm" "no_success" {
  alarm_name          = "${var.name}-no-success"
  alarm_description   = "No run has succeeded for ${var.hours_without_success} hours."
  namespace           = local.metric_namespace
  metric_name         = aws_cloudwatch_log_metric_filter.runs["RunSuccesses"].metric_transformation[0].name
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = var.hours_without_success
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]
}
