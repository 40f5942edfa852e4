"""The OpenAPI document of the API, generated from what parses requests and encodes answers."""
