"""A server with a certificate and the account taro (secret-1), whose logins want TLS and whose relay host is down."""

from __future__ import annotations

from pathlib import Path

from support.server import Server
from tayori.programs.commands import certificate


def made(root: Path) -> Server:
    """Not started."""
    (root / "conf").mkdir()
    certificate.make(root / "conf" / "tls.pem", ("localhost",))
    main = {
        "mynetworks": "192.0.2.0/24",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_tls_security_level": "may",
        "smtpd_tls_auth_only": "yes",
        "smtpd_tls_chain_files": str(root / "conf" / "tls.pem"),
        "relayhost": "[127.0.0.1]:1",
    }
    server = Server(root, main, files={"sasl/smtpd.conf": "pwcheck_method: accounts\nmech_list: plain login\n"})
    server.command("user", "add", "--stdin", "-c", str(server.conf), "taro", stdin="secret-1\n", check=True)
    return server
