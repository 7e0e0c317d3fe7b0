"""Land transactions: their columns, their city, and their distance to its CBD."""
