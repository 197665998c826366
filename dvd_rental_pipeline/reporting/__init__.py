"""What people read about the data: diagrams, column lineage, documentation."""
