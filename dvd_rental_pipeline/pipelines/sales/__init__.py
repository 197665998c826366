"""The sales pipeline: CSV files of order lines, validated row by row and loaded. dbt models the star."""
