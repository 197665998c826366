# The PostgreSQL of Dagster's run history, and the parameters that the source database needs for change data capture.

locals {
  make_database = local.services && var.create_dagster_database
  database_host = local.make_database ? aws_db_instance.dagster[0].address : var.dagster_database_host
  password      = one(ephemeral.aws_secretsmanager_secret_version.dagster[*].secret_string)
}

ephemeral "aws_secretsmanager_random_password" "dagster" {
  count = local.make_database ? 1 : 0

  password_length     = 40
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "dagster_database" {
  count = local.services ? 1 : 0

  name        = "${var.name}/dagster-database"
  description = "Password of the user dagster in the run history database."
}

resource "aws_secretsmanager_secret_version" "dagster_database" {
  count = local.make_database ? 1 : 0

  secret_id                = aws_secretsmanager_secret.dagster_database[0].id
  secret_string_wo         = ephemeral.aws_secretsmanager_random_password.dagster[0].random_password
  secret_string_wo_version = var.dagster_password_version
}

# The database gets the password that the secret has. A password is generated at each apply, and written only when its
# version changes: if an apply fails between the two, the next one would give the database another one.
ephemeral "aws_secretsmanager_secret_version" "dagster" {
  count = local.make_database ? 1 : 0

  secret_id = aws_secretsmanager_secret_version.dagster_database[0].secret_id
}

resource "aws_security_group" "database" {
  count = local.make_database ? 1 : 0

  name        = "${var.name}-database"
  description = "The history of runs"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  count = local.make_database ? 1 : 0

  security_group_id            = aws_security_group.database[0].id
  description                  = "From the tasks"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = aws_security_group.tasks.id
}

resource "aws_db_subnet_group" "dagster" {
  count = local.make_database ? 1 : 0

  name       = "${var.name}-dagster"
  subnet_ids = var.subnet_ids

  lifecycle {
    precondition {
      condition     = length(toset([for subnet in data.aws_subnet.tasks : subnet.availability_zone])) >= 2
      error_message = "RDS needs subnet_ids in at least two availability zones; or set create_dagster_database = false."
    }
  }
}

resource "aws_db_instance" "dagster" {
  count = local.make_database ? 1 : 0

  identifier             = "${var.name}-dagster"
  engine                 = "postgres"
  engine_version         = "17"
  instance_class         = var.dagster_database_class
  allocated_storage      = 20
  max_allocated_storage  = 100
  storage_encrypted      = true
  db_name                = "dagster"
  username               = "dagster"
  db_subnet_group_name   = aws_db_subnet_group.dagster[0].name
  vpc_security_group_ids = [aws_security_group.database[0].id]

  # Write-only: never in a state or a plan. (A password managed by RDS itself is rotated every week, but the services
  # read it only when they start.)
  password_wo         = local.password
  password_wo_version = var.dagster_password_version

  backup_retention_period    = 7
  copy_tags_to_snapshot      = true
  auto_minor_version_upgrade = true
  deletion_protection        = !var.stand_in
  skip_final_snapshot        = var.stand_in
  # Unique, so that a database that was created again can be destroyed again.
  final_snapshot_identifier = "${var.name}-dagster-final-${formatdate("YYYYMMDDhhmmss", plantimestamp())}"

  lifecycle {
    ignore_changes = [final_snapshot_identifier]
  }
}

# Attach it to the source database and reboot that once. A slot that is not read retains WAL until the disk is full:
# the limit invalidates the slot instead, and the next sync does a full refresh.
resource "aws_db_parameter_group" "source" {
  count = var.source_parameter_group_family == "" ? 0 : 1

  name        = "${var.name}-source-${var.source_parameter_group_family}"
  family      = var.source_parameter_group_family
  description = "Logical replication for change data capture"

  parameter {
    name         = "rds.logical_replication"
    value        = "1"
    apply_method = "pending-reboot"
  }

  parameter {
    name         = "max_slot_wal_keep_size"
    value        = "10240"
    apply_method = "immediate"
  }

  # Milliseconds. Nothing is sent while a large transaction is decoded.
  parameter {
    name         = "wal_sender_timeout"
    value        = "300000"
    apply_method = "immediate"
  }

  lifecycle {
    create_before_destroy = true
  }
}
