"""The asset-check report: what the instance knows of each check, as records, and four formats of it."""
