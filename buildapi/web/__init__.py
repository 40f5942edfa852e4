"""The HTTP interface: routes, parameters, authentication and rendering."""
