"""When the graph runs, how fresh it must be, who is notified: freshness, conditions, schedules, alerts."""
