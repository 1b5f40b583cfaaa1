"""Writes to the master that DNS names, and counts what is missing afterwards: the proof that a switch lost nothing."""
