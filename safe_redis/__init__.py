"""What the services share and a program may import: the topology document, SRV look-ups, etcd, errors, the web app."""

__version__ = "0.2.0"
