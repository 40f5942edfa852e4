"""Carry HTTP: connections, requests, routing, parameters, authentication, rendering."""
