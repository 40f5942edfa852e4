"""Stream events to clients."""
