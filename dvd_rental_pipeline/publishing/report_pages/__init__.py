"""The pages of the site that show reports: one module per page, and what the pages are made of.

A page module declares which reports it reads and returns content; it computes nothing that a report could
contain. The other modules turn content into files. No Dagster, except in `assets.py`.
"""
