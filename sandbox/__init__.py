"""The cluster on one machine: real redis and etcd, stand-ins for SkyDNS and registrator.

One harness for the demo, the tests and the benchmarks. Everything listens on loopback.
"""
