"""What the services share: the document, SRV look-ups, etcd, errors, and the one-PUT web app."""
