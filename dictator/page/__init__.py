"""The page at `/`: what the cluster is, what is wanted, and what was done. It changes nothing."""
