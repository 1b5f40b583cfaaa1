"""One redis instance, as everything else refers to it. Pure: no I/O, no clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instance:
    """One redis: the name that the document gives it, and the IP address and port where it was found."""

    name: str
    host: str
    port: int

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as REPLICAOF takes them."""
        return self.host, self.port

    def __str__(self) -> str:
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return where if self.name in (where, self.host) else f"{self.name} ({where})"
