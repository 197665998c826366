"""Templates, styles and scripts of the published pages."""
