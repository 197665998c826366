"""Asset checks that no dbt test can be: of the source, of past runs, of what a sync reports about itself."""
