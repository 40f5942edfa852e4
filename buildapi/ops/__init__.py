"""Monitor the program itself: heartbeats, status, metrics, logs, audit trails."""
