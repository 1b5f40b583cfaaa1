"""What the services share and a program may import: the document, SRV look-ups, etcd, errors, a redis client."""

__version__ = "0.2.0"
