"""All contact with Interactive Brokers' API; nothing else knows ib_insync."""
