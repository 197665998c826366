# CloudFront in front of the private bucket of the pages. Nothing is readable without a web ACL or signed cookies.

locals {
  site_distribution     = var.create_site_distribution ? 1 : 0
  site_distribution_arn = var.create_site_distribution ? aws_cloudfront_distribution.site[0].arn : var.site_distribution_arn
}

resource "aws_cloudfront_origin_access_control" "site" {
  count = local.site_distribution

  name                              = "${var.name}-site"
  description                       = "Reads the bucket of the pages"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_response_headers_policy" "site" {
  count = local.site_distribution

  name    = "${var.name}-site"
  comment = "Security headers of the pages, which have their own content security policy"

  security_headers_config {
    content_type_options {
      override = true
    }

    frame_options {
      frame_option = "DENY"
      override     = true
    }

    referrer_policy {
      referrer_policy = "same-origin"
      override        = true
    }

    strict_transport_security {
      access_control_max_age_sec = 31536000
      include_subdomains         = true
      override                   = true
    }
  }
}

# Follows the cache headers of the objects: pages are revalidated, files with a version in their name are kept.
data "aws_cloudfront_cache_policy" "site" {
  count = local.site_distribution

  name = "UseOriginCacheControlHeaders"
}

resource "aws_cloudfront_distribution" "site" {
  count = local.site_distribution

  comment             = "Pages of ${var.name}"
  enabled             = true
  is_ipv6_enabled     = true
  default_root_object = "index.html"
  http_version        = "http2and3"
  price_class         = "PriceClass_100"
  web_acl_id          = var.site_web_acl_arn == "" ? null : var.site_web_acl_arn

  origin {
    origin_id                = "site"
    domain_name              = aws_s3_bucket.this["site"].bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.site[0].id
  }

  default_cache_behavior {
    target_origin_id           = "site"
    allowed_methods            = ["GET", "HEAD"]
    cached_methods             = ["GET", "HEAD"]
    compress                   = true
    viewer_protocol_policy     = "redirect-to-https"
    cache_policy_id            = data.aws_cloudfront_cache_policy.site[0].id
    response_headers_policy_id = aws_cloudfront_response_headers_policy.site[0].id
    trusted_key_groups         = length(var.site_key_group_ids) == 0 ? null : var.site_key_group_ids
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = true
  }

  lifecycle {
    precondition {
      condition     = var.site_web_acl_arn != "" || length(var.site_key_group_ids) > 0
      error_message = "Without site_web_acl_arn or site_key_group_ids anyone could read the pages."
    }
  }
}
