"""Real mail clients, each asked to log in with one mechanism at a server on loopback: `CLIENTS[name](login)`."""

from __future__ import annotations

import os
import smtplib
import ssl
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from interop.sasl.pki import Pki
from support.peers import require

SECONDS = 20
TOKENS = ("OAUTHBEARER", "XOAUTH2")


@dataclass(frozen=True)
class Login:
    """What to try. The server is localhost:`port` and offers STARTTLS with a certificate of `pki`.

    `certificate` (the client's own unless given) is for EXTERNAL, `env` (where tickets are) for GSSAPI. `act_as`: the
    name to act for, where gsasl and smtptest are to ask for another than their own.
    """

    port: int
    mechanism: str
    user: str
    password: str
    pki: Pki
    folder: Path
    token: str = ""
    realm: str = ""
    certificate: Path | None = None
    env: dict[str, str] = field(default_factory=dict)
    act_as: str = ""


def run(login: Login, *command: str, typed: str = "") -> str:
    """A program's whole output; it is ended after SECONDS."""
    home = {**os.environ, "HOME": str(login.folder), "LC_ALL": "C.UTF-8", **login.env}
    made = subprocess.run(
        ["timeout", str(SECONDS), *command], input=typed.encode(), capture_output=True, env=home, timeout=SECONDS + 5
    )
    return (made.stdout + made.stderr).decode("utf-8", "replace") + f"\nexit {made.returncode}\n"


def gsasl(login: Login) -> bool:
    """GNU SASL's own program, with its SMTP mode."""
    more = ["--starttls", f"--x509-ca-file={login.pki.authority}"]
    if not login.mechanism.endswith("-PLUS"):
        more.append("--no-cb")
    own = login.certificate or login.pki.client
    if login.mechanism == "EXTERNAL":
        more += [f"--x509-cert-file={own}", f"--x509-key-file={own}", "-z", login.act_as]
    elif login.mechanism == "GSSAPI":
        more += ["-a", login.user, "-z", login.act_as]
    elif login.mechanism == "ANONYMOUS":
        more += ["-n", "trace"]
    else:
        more += ["-r", login.realm] if login.realm else []
        more += ["-a", login.user, "-p", login.password]
    said = run(
        login, require("gsasl"), "--smtp", "--verbose", "-m", login.mechanism, "--service=smtp", *more,
        "--hostname=localhost", "--quality-of-protection=qop-auth", f"--connect=localhost:{login.port}",
        typed="QUIT\n",
    )  # fmt: skip
    return "235 2.7.0" in said


def smtptest(login: Login) -> bool:
    """Cyrus's smtptest with libsasl2's plug-ins."""
    certificate = str(login.certificate or login.pki.client) if login.mechanism == "EXTERNAL" else ""
    whom = login.act_as or ("" if login.mechanism == "EXTERNAL" else login.user)
    said = run(
        login, require("smtptest", "cyrus-clients"), "-p", str(login.port), "-m", login.mechanism, "-a", login.user,
        "-u", whom, "-w", login.password, "-t", certificate, "localhost", typed="QUIT\r\n",
    )  # fmt: skip
    return "235 2.7.0" in said


def swaks(login: Login) -> bool:
    """swaks, the Swiss army knife for SMTP."""
    said = run(
        login, require("swaks"), "--server", "localhost", "--port", str(login.port), "--tls", "--auth",
        login.mechanism, "--auth-user", login.user, "--auth-password", login.password, "--quit-after", "AUTH",
    )  # fmt: skip
    return "235 2.7.0" in said


def smtplib_(login: Login) -> bool:
    """Python's standard library."""
    context = ssl.create_default_context(cafile=str(login.pki.authority))
    with smtplib.SMTP("localhost", login.port, timeout=SECONDS) as client:
        client.starttls(context=context)
        client.ehlo()
        client.user, client.password = login.user, login.password
        method = getattr(client, "auth_" + login.mechanism.lower().replace("-", "_"))
        try:
            return client.auth(login.mechanism, method)[0] == 235
        except smtplib.SMTPAuthenticationError:
            return False


def curl(login: Login) -> bool:
    """curl's SMTP; it is let in when VRFY is reached."""
    more = ["--login-options", f"AUTH={login.mechanism}", "-u", f"{login.user}:{login.password}"]
    if login.mechanism == "EXTERNAL":
        own = str(login.certificate or login.pki.client)
        more = ["--cert", own, "--login-options", "AUTH=EXTERNAL", "-u", f"{login.user}:"]
    elif login.mechanism == "GSSAPI":
        more = ["--login-options", "AUTH=GSSAPI", "-u", ":"]
    elif login.mechanism in TOKENS:
        more = ["--login-options", f"AUTH={login.mechanism}", "-u", login.user, "--oauth2-bearer", login.token]
    said = run(
        login, require("curl"), "-sv", "--ssl-reqd", "--cacert", str(login.pki.authority), *more,
        "-X", "NOOP", f"smtp://localhost:{login.port}/client.example",
    )  # fmt: skip
    return "235 2.7.0" in said


def msmtp(login: Login) -> bool:
    """msmtp, with GNU SASL inside; a whole message is sent."""
    lines = [
        "account default", "host localhost", f"port {login.port}", "tls on", "tls_starttls on",
        f"tls_trust_file {login.pki.authority}", "from client@example.org", f"auth {login.mechanism.lower()}",
        f"user {login.user}", f"password {login.token if login.mechanism in TOKENS else login.password}",
    ]  # fmt: skip
    if login.mechanism == "EXTERNAL":
        own = login.certificate or login.pki.client
        lines += [f"tls_cert_file {own}", f"tls_key_file {own}"]
    handle, name = tempfile.mkstemp(prefix="msmtp", dir=login.folder)  # mode 0600, as msmtp wants it
    os.close(handle)
    conf = Path(name)
    conf.write_text("\n".join(lines) + "\n")
    said = run(
        login, require("msmtp"), "-C", str(conf), "-d", "taro@example.com", typed="Subject: x\n\nhello\n"
    )  # fmt: skip
    conf.unlink()
    return "235 2.7.0" in said


CLIENTS: dict[str, Callable[[Login], bool]] = {
    "gsasl": gsasl,
    "smtptest": smtptest,
    "swaks": swaks,
    "smtplib": smtplib_,
    "curl": curl,
    "msmtp": msmtp,
}
