"""Serve the self-serve API: reads of builds, job requests, and their pages."""
