"""Real Buildbot 0.8.2 masters and slaves for tests."""
