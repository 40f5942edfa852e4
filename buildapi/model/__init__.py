"""The domain as frozen values: builds, build requests, branches, job requests, plans, outcomes."""
