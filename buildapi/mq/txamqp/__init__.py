"""A repaired AMQP 0-9-1 client layer over txAMQP."""
