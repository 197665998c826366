"""Tags of the runs that schedules and sensors start."""

CAUSE = "dvd_rental/cause"
"""Why the run was started, in a short sentence."""
INCIDENT_KEY = "dvd_rental/incident_key"
"""Groups runs that do the same work, whatever started each: a failure and the next success are one incident."""
