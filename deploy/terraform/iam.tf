# Roles: one for ECS itself, to start tasks; one per task, with only the rights that it uses.

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  assumed_by_tasks = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })

  # Statements of several roles.
  may_read_settings = {
    Sid    = "ReadSettings"
    Effect = "Allow"
    Action = [var.settings_object == "" ? "secretsmanager:GetSecretValue" : "s3:GetObject"]
    Resource = [
      var.settings_object == "" ? aws_secretsmanager_secret.settings[0].arn : "arn:${local.partition}:s3:::${var.settings_object}"
    ]
  }
  may_write_step_output = {
    Sid      = "WriteStepOutput"
    Effect   = "Allow"
    Action   = ["s3:PutObject", "s3:GetObject"]
    Resource = ["${aws_s3_bucket.this["logs"].arn}/*"]
  }
  may_read_step_output = {
    Sid      = "ReadStepOutput"
    Effect   = "Allow"
    Action   = ["s3:GetObject"]
    Resource = ["${aws_s3_bucket.this["logs"].arn}/*"]
  }
  may_list_step_output = {
    Sid      = "ListStepOutput"
    Effect   = "Allow"
    Action   = ["s3:ListBucket"]
    Resource = [aws_s3_bucket.this["logs"].arn]
  }
  may_alert = {
    Sid      = "Alert"
    Effect   = "Allow"
    Action   = ["sns:Publish"]
    Resource = [aws_sns_topic.alerts.arn]
  }
  may_encrypt_alerts = {
    Sid      = "EncryptAlerts"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource = [aws_kms_key.alerts.arn]
  }
  may_count = {
    Sid       = "CountAlerts"
    Effect    = "Allow"
    Action    = ["cloudwatch:PutMetricData"]
    Resource  = ["*"]
    Condition = { StringEquals = { "cloudwatch:namespace" = local.metric_namespace } }
  }

  may_list_lake = {
    Sid      = "ListLake"
    Effect   = "Allow"
    Action   = ["s3:ListBucket"]
    Resource = [for bucket in ["landing", "processed", "site"] : aws_s3_bucket.this[bucket].arn]
  }
  may_read_manifests = {
    Sid      = "ReadManifests"
    Effect   = "Allow"
    Action   = ["s3:GetObject"]
    Resource = [for bucket in ["landing", "processed"] : "${aws_s3_bucket.this[bucket].arn}/*/_manifests/*"]
  }

  roles = {
    # Replicates, transforms, checks, publishes.
    run = [
      local.may_read_settings,
      local.may_write_step_output,
      local.may_list_step_output,
      local.may_alert,
      local.may_encrypt_alerts,
      local.may_count,
      {
        Sid      = "WriteRunLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.this["runs"].arn}:*"]
      },
      local.may_list_lake,
      {
        # Landed files are never changed or deleted, hence no s3:DeleteObject on `landing`.
        Sid      = "WriteLake"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = [for bucket in ["landing", "processed", "site"] : "${aws_s3_bucket.this[bucket].arn}/*"]
      },
      {
        Sid      = "DeleteFromLake"
        Effect   = "Allow"
        Action   = ["s3:DeleteObject"]
        Resource = [for bucket in ["processed", "site"] : "${aws_s3_bucket.this[bucket].arn}/*"]
      },
    ]
    # Loads the definitions and evaluates sensors, which send alerts and look for landed runs.
    code-location = [
      local.may_read_settings,
      local.may_alert,
      local.may_encrypt_alerts,
      local.may_count,
      local.may_list_lake,
      local.may_read_manifests,
    ]
    # Shows the output of steps, and stops runs.
    webserver = [local.may_write_step_output, local.may_list_step_output, local.may_stop_runs, local.may_describe_tasks]
    # Starts, monitors and stops runs.
    daemon = [
      local.may_stop_runs,
      local.may_describe_tasks,
      {
        Sid       = "StartRuns"
        Effect    = "Allow"
        Action    = ["ecs:RunTask"]
        Resource  = ["arn:${local.partition}:ecs:${var.region}:${local.account}:task-definition/${local.run_family}:*"]
        Condition = { ArnEquals = { "ecs:cluster" = aws_ecs_cluster.this.arn } }
      },
      {
        Sid       = "TagRuns"
        Effect    = "Allow"
        Action    = ["ecs:TagResource"]
        Resource  = ["arn:${local.partition}:ecs:${var.region}:${local.account}:task/${aws_ecs_cluster.this.name}/*"]
        Condition = { StringEquals = { "ecs:CreateAction" = "RunTask" } }
      },
      {
        Sid       = "PassRunRoles"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = [aws_iam_role.execution.arn, "arn:${local.partition}:iam::${local.account}:role/${var.name}-run"]
        Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      },
      {
        Sid      = "ReadLogsOfStoppedTasks"
        Effect   = "Allow"
        Action   = ["logs:GetLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.this["tasks"].arn}:*"]
      },
    ]
  }

  may_stop_runs = {
    Sid       = "StopRuns"
    Effect    = "Allow"
    Action    = ["ecs:StopTask", "ecs:DescribeTasks"]
    Resource  = ["arn:${local.partition}:ecs:${var.region}:${local.account}:task/${aws_ecs_cluster.this.name}/*"]
    Condition = { ArnEquals = { "ecs:cluster" = aws_ecs_cluster.this.arn } }
  }
  may_describe_tasks = {
    # These actions do not support resource-level permissions.
    Sid      = "DescribeTasks"
    Effect   = "Allow"
    Action   = ["ecs:DescribeTaskDefinition", "ec2:DescribeNetworkInterfaces"]
    Resource = ["*"]
  }
}

data "aws_partition" "current" {}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  description        = "ECS itself: pulls the image, writes the output of tasks, reads the password of the run history"
  assume_role_policy = local.assumed_by_tasks
}

resource "aws_iam_role_policy" "execution" {
  name = "execution"
  role = aws_iam_role.execution.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "LogInToRegistry"
          Effect   = "Allow"
          Action   = ["ecr:GetAuthorizationToken"]
          Resource = ["*"]
        },
        {
          Sid      = "PullImage"
          Effect   = "Allow"
          Action   = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
          Resource = [aws_ecr_repository.this.arn]
        },
        {
          Sid      = "WriteTaskOutput"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = [for group in aws_cloudwatch_log_group.this : "${group.arn}:*"]
        },
      ],
      local.services ? [{
        Sid      = "ReadPasswordOfHistory"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = [aws_secretsmanager_secret.dagster_database[0].arn]
      }] : [],
    )
  })
}

resource "aws_iam_role" "task" {
  for_each = toset(local.services ? ["run", "code-location", "webserver", "daemon"] : ["run"])

  name               = "${var.name}-${each.key}"
  description        = "Rights of the task ${each.key}"
  assume_role_policy = local.assumed_by_tasks
}

resource "aws_iam_role_policy" "task" {
  for_each = aws_iam_role.task

  name   = each.key
  role   = each.value.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.roles[each.key] })
}
