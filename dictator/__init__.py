"""Applies the declared master and slaves to the redis instances without losing an acknowledged write."""
