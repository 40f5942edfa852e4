"""The HTTP side: routes, parameters, authentication, rendering."""
