"""Provide message brokers behind one interface: RabbitMQ, or one embedded in the process."""
