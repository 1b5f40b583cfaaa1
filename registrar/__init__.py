"""Writes a record into etcd for each published port of the containers on this host."""
