"""SQL over adbapi: pools, typed statements, the job store."""
