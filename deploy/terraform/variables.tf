variable "name" {
  description = "Prefix of every name, and the tag `project`."
  type        = string
  default     = "dvd-rental"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "Use lower-case letters, digits and hyphens, at most 32 characters."
  }
}

variable "region" {
  description = "AWS region of all resources."
  type        = string
}

variable "mode" {
  description = "`services`: web server, daemon and code location run all the time. `scheduled`: only one task, which runs the whole graph on a schedule."
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
  description = "Private subnets of the tasks, in at least two zones, with a NAT gateway or endpoints to reach Airbyte, Snowflake and AWS."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "Name at least one subnet."
  }
}

variable "assign_public_ip" {
  description = "Whether tasks get public addresses; only for public subnets without a NAT gateway."
  type        = bool
  default     = false
}

variable "webserver_client_security_group_ids" {
  description = "Security groups that may open the web server on port 3000, such as that of a VPN or of a load balancer with a login; no others can."
  type        = list(string)
  default     = []
}

variable "image" {
  description = "Image with its tag or digest. Empty: the tag `image_tag` of the ECR repository created here."
  type        = string
  default     = ""
}

variable "image_tag" {
  description = "Tag in the ECR repository, whose tags are immutable."
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
  description = "More environment variables of the tasks. Put secret ones into the secret `NAME/settings` instead."
  type        = map(string)
  default     = {}
}

variable "settings_object" {
  description = "Object on S3, BUCKET/KEY, with the settings as lines NAME=value. Empty: the secret `NAME/settings` has them."
  type        = string
  default     = ""

  validation {
    condition     = var.settings_object == "" || can(regex("^[a-z0-9.-]{3,63}/[^*?]+$", var.settings_object))
    error_message = "Give it as BUCKET/KEY, without s3://."
  }
}

variable "run_cpu" {
  description = "CPU units of a run; 1024 is one vCPU."
  type        = number
  default     = 1024
}

variable "run_memory" {
  description = "Memory of a run, in MiB."
  type        = number
  default     = 4096
}

variable "schedule" {
  description = "Schedule expression (EventBridge Scheduler, UTC) of the task in the mode `scheduled`."
  type        = string
  default     = "cron(0 5 * * ? *)"
}

variable "alert_emails" {
  description = "E-mail addresses for alerts and alarms; each has to confirm once."
  type        = list(string)
  default     = []
}

variable "hours_without_success" {
  description = "Hours without a successful run until an alarm is raised."
  type        = number
  default     = 26
}

variable "log_retention_days" {
  description = "Days until logs expire."
  type        = number
  default     = 30
}

variable "dagster_url" {
  description = "Address of the Dagster UI, for links in alerts."
  type        = string
  default     = ""
}

variable "site_url" {
  description = "Address at which browsers see the bucket of the pages."
  type        = string
  default     = ""
}

variable "site_distribution_arn" {
  description = "CloudFront distribution that may read the bucket of the pages (origin access control)."
  type        = string
  default     = ""
}

variable "create_site_distribution" {
  description = "Whether to create a CloudFront distribution of the pages; it needs site_web_acl_arn or site_key_group_ids. If not, set site_distribution_arn."
  type        = bool
  default     = false
}

variable "site_web_acl_arn" {
  description = "Web ACL (AWS WAF, in us-east-1) that decides who may read the pages, such as an allow list of addresses."
  type        = string
  default     = ""
}

variable "site_key_group_ids" {
  description = "CloudFront key groups whose signed cookies or URLs open the pages, as a login in front of them issues."
  type        = list(string)
  default     = []
}

variable "create_dagster_database" {
  description = "Whether to create an RDS database for the run history. If not, set dagster_database_host."
  type        = bool
  default     = true
}

variable "dagster_database_host" {
  description = "Host of an existing PostgreSQL for the run history."
  type        = string
  default     = ""
}

variable "dagster_database_class" {
  description = "Instance class of the run history database."
  type        = string
  default     = "db.t4g.micro"
}

variable "dagster_password_version" {
  description = "Increment it to set a new password of the run history database; then restart the services."
  type        = number
  default     = 1
}

variable "source_parameter_group_family" {
  description = "Family of the parameter group for the source database, such as postgres17. Empty: create none."
  type        = string
  default     = "postgres17"
}

variable "snowflake_reader" {
  description = "Snowflake's IAM user and external id, which `dvd-rental snowflake apply` prints. With it, a role lets Snowflake read the lake, and loads go through an external stage."
  type = object({
    user_arn    = string
    external_id = string
  })
  default = null
}

variable "stand_in" {
  description = "Whether AWS_ENDPOINT_URL names a stand-in for AWS, in tests."
  type        = bool
  default     = false
}
