"""What people read about the data: the report on the checks, diagrams, column lineage, documentation."""
