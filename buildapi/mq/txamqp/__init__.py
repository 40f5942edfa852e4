"""Provide a repaired AMQP 0-9-1 client on top of txAMQP."""
