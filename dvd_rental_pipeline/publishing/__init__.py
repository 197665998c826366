"""What people read about the data: the site, the check report, diagrams, column lineage, documentation."""
