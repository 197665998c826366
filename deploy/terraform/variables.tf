variable "name" {
  description = "Prefix of every name, and the tag `project`."
  type        = string
  default     = "dvd-rental"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "Small letters, digits and hyphens, at most 32 in all."
  }
}

variable "region" {
  description = "Region of everything."
  type        = string
}

variable "mode" {
  description = "`services`: web server, daemon and code location run all the time. `scheduled`: one task runs the whole graph by the clock, and nothing else."
  type        = string
  default     = "services"

  validation {
    condition     = contains(["services", "scheduled"], var.mode)
    error_message = "Choose services or scheduled."
  }
}

variable "vpc_id" {
  description = "VPC of the tasks."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of the tasks (with a NAT gateway or endpoints, as they reach Airbyte, Snowflake and AWS), in two zones or more."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "Name at least one subnet."
  }
}

variable "assign_public_ip" {
  description = "Whether tasks get public addresses: only in public subnets, where there is no NAT gateway."
  type        = bool
  default     = false
}

variable "webserver_client_security_group_ids" {
  description = "Security groups (a load balancer's with a login, a VPN's) that may open the web server on port 3000. Nobody else can."
  type        = list(string)
  default     = []
}

variable "image" {
  description = "Image with its tag or digest. Empty: the tag `image_tag` of the ECR repository that is made here."
  type        = string
  default     = ""
}

variable "image_tag" {
  description = "Tag in the ECR repository; tags there cannot be moved."
  type        = string
  default     = "1"
}

variable "deployment" {
  description = "DVD_RENTAL_DEPLOYMENT of the tasks; the image must be built for the same."
  type        = string
  default     = "production"

  validation {
    condition     = contains(["production", "branch"], var.deployment)
    error_message = "Choose production or branch."
  }
}

variable "environment" {
  description = "More variables of the tasks. Nothing secret: those go into the secret `NAME/settings`."
  type        = map(string)
  default     = {}
}

variable "settings_object" {
  description = "Object on S3, BUCKET/KEY, that holds the settings as lines NAME=value. Empty: they stand in the secret `NAME/settings`."
  type        = string
  default     = ""

  validation {
    condition     = var.settings_object == "" || can(regex("^[a-z0-9.-]{3,63}/[^*?]+$", var.settings_object))
    error_message = "Give it as BUCKET/KEY, without s3://."
  }
}

variable "run_cpu" {
  description = "CPU units of a run: 1024 is one."
  type        = number
  default     = 1024
}

variable "run_memory" {
  description = "Memory of a run, in MiB."
  type        = number
  default     = 4096
}

variable "schedule" {
  description = "When the one-shot task runs in the mode `scheduled`, as EventBridge Scheduler writes it, in UTC."
  type        = string
  default     = "cron(0 5 * * ? *)"
}

variable "alert_emails" {
  description = "Addresses that alerts and alarms go to; each has to confirm once."
  type        = list(string)
  default     = []
}

variable "hours_without_success" {
  description = "After how many hours without a successful run an alarm is raised."
  type        = number
  default     = 26
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
}

variable "dagster_url" {
  description = "Address of the Dagster UI, for links in alerts."
  type        = string
  default     = ""
}

variable "site_url" {
  description = "Address under which browsers see the bucket of the pages."
  type        = string
  default     = ""
}

variable "site_distribution_arn" {
  description = "CloudFront distribution that may read the bucket of the pages (origin access control)."
  type        = string
  default     = ""
}

variable "create_dagster_database" {
  description = "Whether RDS for the history of runs is made here. Otherwise dagster_database_host names one."
  type        = bool
  default     = true
}

variable "dagster_database_host" {
  description = "Host of an existing PostgreSQL for the history of runs."
  type        = string
  default     = ""
}

variable "dagster_database_class" {
  description = "Instance class of the history of runs."
  type        = string
  default     = "db.t4g.micro"
}

variable "dagster_password_version" {
  description = "Raise it to give the history of runs a new password; then start the services again."
  type        = number
  default     = 1
}

variable "source_parameter_group_family" {
  description = "Family of the parameter group for the source database that is replicated, such as postgres17. Empty: none is made."
  type        = string
  default     = "postgres17"
}

variable "stand_in" {
  description = "Whether AWS_ENDPOINT_URL names something that stands in for AWS."
  type        = bool
  default     = false
}
