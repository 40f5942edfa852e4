"""Talk to Buildbot 0.8.0 to 0.8.4: schema version 6, its queries and writes, calls to masters."""
