"""Extracts: marts and reports as files for other tools. No private column leaves the warehouse here."""
