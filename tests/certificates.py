"""Certificates that live for one test, made by openssl."""

import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificate(NamedTuple):
    """Files in PEM."""

    cert: str
    key: str


class Authority:
    """A CA in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self.ca = str(directory / "ca.pem")
        self._openssl("req", "-x509", *NEW, "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=CA")

    def issue(self, name: str, address: str = "127.0.0.1", *, expired: bool = False) -> Certificate:
        """A certificate for a server at `name` and `address`, or for a client."""
        extensions = self._directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName=DNS:{name},IP:{address}\n")
        files = Certificate(str(self._directory / f"{name}.pem"), str(self._directory / f"{name}.key"))
        self._openssl("req", *NEW, "-keyout", files.key, "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", extensions.name]
        days = "-1" if expired else "2"
        self._openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-days", days, "-out", files.cert)
        return files

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._directory, check=True, capture_output=True, timeout=60)


NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
