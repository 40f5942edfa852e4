"""Pure functions that decide job requests, and that derive views of the farm from its rows."""
