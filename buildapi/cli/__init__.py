"""Commands that need no database: they read files, or ask the service over HTTP."""
