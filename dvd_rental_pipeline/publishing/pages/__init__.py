"""Templates, styles and scripts of the pages; no Python."""
