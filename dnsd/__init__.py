"""Publishes the declared master and slaves as SkyDNS records, and keeps them from expiring."""
