"""Parameters of the API, declared once: for the routes, the documentation and the commands."""
