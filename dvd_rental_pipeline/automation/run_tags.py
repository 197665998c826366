"""What the runs that start by themselves say of themselves, in their tags."""

CAUSE = "dvd_rental/cause"
"""Why the run was started, in words."""
INCIDENT_KEY = "dvd_rental/story"
"""Which runs do the same, whatever started each: when one fails, and the next succeeds, that is one story."""
