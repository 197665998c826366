"""When the graph runs, how fresh it must be, and who is notified: freshness, conditions, schedules, sensors, alerts."""
