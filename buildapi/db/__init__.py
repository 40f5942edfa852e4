"""Access the jobs and scheduler databases: connection pools, typed statements, the job store."""
