"""A certificate of this host that vouches for itself."""

import subprocess
from pathlib import Path


class Certificate:
    """A certificate and its key, made in a directory; servers and clients can show it."""

    def __init__(self, directory: Path) -> None:
        self.file, self.key = directory / "certificate", directory / "key"
        openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        files = ["-keyout", str(self.key), "-out", str(self.file)]
        subprocess.run([*openssl, *names, *files], check=True, capture_output=True)

    def of_client(self) -> dict[str, str]:
        """Return the options of a URL, or of redis-py, with which a client believes it and shows it."""
        return {"ssl_ca_certs": str(self.file), "ssl_certfile": str(self.file), "ssl_keyfile": str(self.key)}

    def of_server(self, port: int) -> dict[str, str]:
        """Return the settings of a redis-server that listens by TLS, for clients with or without a certificate."""
        files = {"tls-cert-file": str(self.file), "tls-key-file": str(self.key), "tls-ca-cert-file": str(self.file)}
        return {"port": "0", "tls-port": str(port), "tls-auth-clients": "no", **files}
