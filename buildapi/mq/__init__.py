"""Message brokers behind one contract."""
