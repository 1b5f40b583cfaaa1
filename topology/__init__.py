"""What the services share: the topology document, SRV look-ups, etcd, errors, and the one-PUT web app."""
