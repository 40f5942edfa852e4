"""Generate and run the sample farm: seeded data and small simulated masters."""
