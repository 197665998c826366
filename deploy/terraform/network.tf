# Allowed connections. Egress of the tasks is open, since Airbyte, Snowflake and AWS have no fixed addresses.

data "aws_subnet" "tasks" {
  for_each = toset(var.subnet_ids)

  id = each.value
}

resource "aws_security_group" "tasks" {
  name        = "${var.name}-tasks"
  description = "Tasks of ${var.name}"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "tasks" {
  security_group_id = aws_security_group.tasks.id
  description       = "Airbyte, Snowflake, AWS"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "code_location" {
  security_group_id            = aws_security_group.tasks.id
  description                  = "Web server and daemon to the code location"
  ip_protocol                  = "tcp"
  from_port                    = 4000
  to_port                      = 4000
  referenced_security_group_id = aws_security_group.tasks.id
}

resource "aws_vpc_security_group_ingress_rule" "webserver" {
  for_each = local.services ? toset(var.webserver_client_security_group_ids) : []

  security_group_id            = aws_security_group.tasks.id
  description                  = "Browsers to the web server"
  ip_protocol                  = "tcp"
  from_port                    = 3000
  to_port                      = 3000
  referenced_security_group_id = each.value
}
