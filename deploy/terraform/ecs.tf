# The cluster, its task definitions and services, and their service discovery.

locals {
  services   = var.mode == "services"
  image      = var.image != "" ? var.image : "${aws_ecr_repository.this.repository_url}:${var.image_tag}"
  run_family = "${var.name}-run"

  code_location_host = "code-location.${var.name}.internal"

  # Variables of every container, none of them secret.
  environment = merge(
    {
      AWS_DEFAULT_REGION    = var.region
      DVD_RENTAL_DEPLOYMENT = var.deployment
    },
    var.environment,
  )

  # Variables of the containers that load or run the definitions.
  definitions_environment = merge(
    {
      DVD_RENTAL_SECRETS      = local.settings_place
      DVD_RENTAL_SITE_BUCKET  = aws_s3_bucket.this["site"].id
      DVD_RENTAL_LANDING      = "s3://${aws_s3_bucket.this["landing"].id}"
      DVD_RENTAL_PROCESSED    = "s3://${aws_s3_bucket.this["processed"].id}"
      DVD_RENTAL_SALES_FILES  = "s3://${aws_s3_bucket.this["landing"].id}/sales_files"
      DVD_RENTAL_ALERTS_TOPIC = aws_sns_topic.alerts.arn
      DVD_RENTAL_LOG_GROUP    = aws_cloudwatch_log_group.this["runs"].name
    },
    # The run history of `scheduled` ends with its task.
    local.services ? {} : { DVD_RENTAL_METRIC_HISTORY = "s3://${aws_s3_bucket.this["processed"].id}/_metric_history" },
    var.snowflake_reader == null ? {} : { DVD_RENTAL_SNOWFLAKE_STORAGE_ROLE = aws_iam_role.snowflake[0].arn },
    var.site_url == "" ? {} : { DVD_RENTAL_SITE_URL = var.site_url },
    var.dagster_url == "" ? {} : { DVD_RENTAL_DAGSTER_URL = var.dagster_url },
  )

  # The Dagster instance, deploy/ecs/dagster.yaml or deploy/scheduled/dagster.yaml, and the variables it reads.
  instance_environment = local.services ? {
    DAGSTER_HOME                = "/app/deploy/ecs"
    DAGSTER_PG_HOST             = local.database_host
    DAGSTER_PG_PORT             = "5432"
    DAGSTER_PG_USER             = "dagster"
    DAGSTER_PG_DB               = "dagster"
    DAGSTER_COMPUTE_LOGS_BUCKET = aws_s3_bucket.this["logs"].id
    DAGSTER_RUN_TASK_DEFINITION = local.run_family
    DAGSTER_CODE_LOCATION_HOST  = local.code_location_host
    } : {
    DAGSTER_HOME = "/app/deploy/scheduled"
  }
  instance_secrets = local.services ? {
    DAGSTER_PG_PASSWORD = aws_secretsmanager_secret.dagster_database[0].arn
  } : {}

  workspace = ["-w", "/app/deploy/ecs/workspace.yaml"]

  # One container per task. The run launcher overrides the command of `run`.
  all_tasks = {
    run = {
      cpu         = var.run_cpu
      memory      = var.run_memory
      command     = ["dvd-rental", "run"]
      environment = local.definitions_environment
      health      = null
      port        = null
      log_group   = "tasks"
    }
    code-location = {
      cpu         = 512
      memory      = 2048
      command     = null
      environment = local.definitions_environment
      health      = ["CMD", "dagster", "api", "grpc-health-check", "-p", "4000"]
      port        = 4000
      log_group   = "services"
    }
    webserver = {
      cpu         = 512
      memory      = 1024
      command     = concat(["dagster-webserver", "-h", "0.0.0.0", "-p", "3000", "--log-format", "json"], local.workspace)
      environment = {}
      health      = ["CMD", "python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/server_info', timeout=5)"]
      port        = 3000
      log_group   = "services"
    }
    daemon = {
      cpu         = 512
      memory      = 1024
      command     = concat(["dagster-daemon", "run", "--log-format", "json"], local.workspace)
      environment = {}
      health      = ["CMD", "dagster-daemon", "liveness-check"]
      port        = null
      log_group   = "services"
    }
  }

  tasks = { for name, task in local.all_tasks : name => task if name == "run" || local.services }

  service_tasks = { for name, task in local.tasks : name => task if name != "run" }
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "this" {
  for_each = local.tasks

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task[each.key].arn

  container_definitions = jsonencode([merge(
    {
      name      = each.key
      image     = local.image
      essential = true
      cpu       = each.value.cpu
      memory    = each.value.memory

      environment = [
        for name, value in merge(local.environment, each.value.environment, local.instance_environment) :
        { name = name, value = value }
      ]
      secrets = [for name, arn in local.instance_secrets : { name = name, valueFrom = arn }]

      # The init process forwards signals and reaps children; the timeout lets a stopped step, and its dbt, finish.
      linuxParameters = { initProcessEnabled = true }
      stopTimeout     = 60

      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.this[each.value.log_group].name
          awslogs-region        = var.region
          awslogs-stream-prefix = each.key
        }
      }
    },
    each.value.command == null ? {} : { command = each.value.command },
    each.value.port == null ? {} : {
      portMappings = [{ containerPort = each.value.port, hostPort = each.value.port, protocol = "tcp" }]
    },
    each.value.health == null ? {} : {
      healthCheck = { command = each.value.health, interval = 30, timeout = 20, retries = 3, startPeriod = 120 }
    },
  )])
}

resource "aws_service_discovery_private_dns_namespace" "this" {
  count = local.services ? 1 : 0

  name        = "${var.name}.internal"
  description = "How the services of ${var.name} find each other"
  vpc         = var.vpc_id
}

resource "aws_service_discovery_service" "this" {
  for_each = local.services ? toset(["code-location", "webserver"]) : []

  name = each.key

  dns_config {
    namespace_id = aws_service_discovery_private_dns_namespace.this[0].id

    dns_records {
      type = "A"
      ttl  = 10
    }
  }
}

resource "aws_ecs_service" "this" {
  for_each = local.service_tasks

  name            = each.key
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.this[each.key].arn
  desired_count   = 1
  launch_type     = "FARGATE"

  # Two daemons would launch each run twice: stop the old one before starting the new one. The others overlap.
  deployment_minimum_healthy_percent = each.key == "daemon" ? 0 : 100
  deployment_maximum_percent         = each.key == "daemon" ? 100 : 200

  enable_ecs_managed_tags = true
  propagate_tags          = "SERVICE"

  # Roll back if the new image does not start.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = var.assign_public_ip
  }

  dynamic "service_registries" {
    for_each = contains(keys(aws_service_discovery_service.this), each.key) ? [aws_service_discovery_service.this[each.key].arn] : []

    content {
      registry_arn = service_registries.value
    }
  }
}
