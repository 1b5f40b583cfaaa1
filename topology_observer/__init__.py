"""Watches the trigger in etcd and tells the dictator and dnsd to apply the topology."""
