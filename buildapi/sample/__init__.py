"""The sample farm: seeded data and a small simulated master."""
