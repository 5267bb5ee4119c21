"""Logins at a running server: rate limit, what the log says, a back end that goes and comes, certificates."""

from __future__ import annotations

import base64
import re
import smtplib
import ssl
import time
from pathlib import Path

from interop.sasl import backends, pki
from interop.sasl.peers import PASSWORD, short_folder, tayori_saslauthd
from support.server import Server
from tayori.sasl.accounts import AccountFile

SECRET = "Hush-hush-77"


def plain(user: str, password: str) -> str:
    return "AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode()


def served(tmp_path: Path, more: dict[str, str] | None = None, conf: str = "") -> Server:
    backends.folder_of(tmp_path)
    settings = {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_local_domain": "example.com", **(more or {})}
    conf = conf or "pwcheck_method: accounts\nmech_list: plain login\n"
    server = Server(tmp_path, settings, files={"sasl/smtpd.conf": conf})
    AccountFile(server.conf / "accounts").add("taro", SECRET)
    (server.conf / "accounts").chmod(0o644)
    return server


def test_auth_rate_limit(tmp_path: Path) -> None:
    limit = {"smtpd_client_auth_rate_limit": "2", "smtpd_client_event_limit_exceptions": ""}
    with served(tmp_path, limit) as server:
        codes = [server.talk(["EHLO x", plain("taro", SECRET)])[-1][:9] for _ in range(3)]
        assert codes == ["235 2.7.0", "235 2.7.0", "450 4.7.1"]
        server.wait_log("AUTH command rate limit exceeded")


def test_every_login_leaves_a_line_and_no_secret(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        said = server.talk(
            ["EHLO x", plain("taro", SECRET + "x"), plain("nobody", SECRET), "AUTH LOGIN", "*", "AUTH FOO",
             "AUTH PLAIN !!", plain("taro", SECRET)]
        )  # fmt: skip
        assert [line[:9] for line in said[2:]] == [
            "535 5.7.8", "535 5.7.8", "334 VXNlc", "501 5.7.0", "535 5.7.8", "535 5.7.8", "235 2.7.0"
        ]  # fmt: skip
        log = server.wait_log("result=accepted")
        backend = re.escape(f"backend=accounts:{server.conf}/accounts")
        for pattern in (
            rf"login method=PLAIN user=taro@example\.com client=127\.0\.0\.1 {backend} result=refused \(wrong password\)",
            rf"login method=PLAIN user=nobody@example\.com client=127\.0\.0\.1 {backend} result=refused \(no such account\)",
            r"login method=UNKNOWN user=\? client=127\.0\.0\.1 backend=- result=refused \(this mechanism is not offered\)",
            r"login method=PLAIN user=\? client=127\.0\.0\.1 backend=- result=refused \(malformed base64 from the client\)",
            rf"login method=PLAIN user=taro@example\.com client=127\.0\.0\.1 {backend} result=accepted",
            r"warning: unknown\[127\.0\.0\.1\]: SASL PLAIN authentication failed: wrong password, sasl_username=taro@example\.com",
        ):
            assert re.search(pattern, log), pattern
        everything = log + server.stderr()
        for text in (SECRET, plain("taro", SECRET)[11:], plain("nobody", SECRET)[11:]):
            assert text not in everything
        told = server.command("explain-login", "nobody", "--last", "-c", str(server.conf))
        assert told.returncode == 1 and "no such account" in told.stdout and "tayori user add" in told.stdout
        assert SECRET not in told.stdout


def test_long_responses(tmp_path: Path) -> None:
    """As Postfix 3.7 has it: up to smtpd_sasl_response_limit (12288) once the exchange runs, with a command's limit
    before; afterwards the session goes on as ever."""
    secret = "p" * 9000
    users = tmp_path / "users"
    users.write_text(f"taro:{{PLAIN}}{secret}\n")
    right = base64.b64encode(f"\0taro\0{secret}".encode()).decode()
    assert 2048 < len(right) < 12288
    with served(tmp_path, conf=f"pwcheck_method: passwd-file\npasswd_file: {users}\nmech_list: plain\n") as server:
        said = server.talk(
            ["EHLO x", "AUTH PLAIN", "A" * 12_292, "AUTH PLAIN " + right, "NOOP", "AUTH PLAIN", right, "NOOP"]
        )
        assert [line[:9] for line in said[2:]] == [
            "334 ", "500 5.5.6", "535 5.7.8", "250 2.0.0", "334 ", "235 2.7.0", "250 2.0.0"
        ]  # fmt: skip
        assert said[3] == "500 5.5.6 SASL response limit exceeded"
        assert "longer than 12288" in server.wait_log("login method=PLAIN user=taro@example.com")
        assert right[:40] not in server.log()


def test_a_flood_is_slowed(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        before = time.monotonic()
        said = server.talk(["EHLO x", *(plain("victim", f"no-{n}") for n in range(6))])
        assert time.monotonic() - before > 0.5, "delays begin"
        assert all(line.startswith(("535 5.7.8", "454 4.7.0", "421")) for line in said[2:] if line)


def test_a_back_end_that_is_away_is_try_later(tmp_path: Path) -> None:
    with short_folder() as folder:
        conf = f"pwcheck_method: saslauthd\nsaslauthd_path: {folder}/mux\nmech_list: plain\n"
        with served(tmp_path, conf=conf) as server:
            said = server.talk(["EHLO x", plain("taro", SECRET)])
            assert "AUTH" not in said[1], "not offered while nobody can be asked"
            assert said[2].startswith("454 4.7.0")
            AccountFile(folder / "accounts").add("taro@example.com", SECRET)
            with tayori_saslauthd(folder, "-a", "accounts", "-O", str(folder)):
                until = time.monotonic() + 15
                while "AUTH PLAIN" not in (said := server.talk(["EHLO x", plain("taro", SECRET)]))[1]:
                    assert time.monotonic() < until
                    time.sleep(0.3)
                assert server.talk(["EHLO x", plain("taro", SECRET)])[2].startswith("235")


def test_certificates_by_map(tmp_path: Path) -> None:
    """A self-signed certificate by its fingerprint, a signed one by its address, an unknown one not at all."""
    backends.folder_of(tmp_path)
    keys = pki.make(tmp_path)
    rows = f"{keys.lone_fingerprint} hana@example.com\nemail:taro@example.com taro\n"
    main = {
        "smtpd_tls_security_level": "may",
        "smtpd_tls_chain_files": str(keys.server),
        "smtpd_tls_CAfile": str(keys.authority),
        "smtpd_tls_ask_ccert": "yes",
        "smtpd_tls_fingerprint_digest": "sha256",
        "tayori_sasl_external_maps": f"texthash:{tmp_path}/certificates",
    }
    (tmp_path / "certificates").write_text(rows)
    with served(tmp_path, main, "pwcheck_method: accounts\nmech_list: plain external\n") as server:
        for file, who in ((keys.lone, "hana@example.com"), (keys.client, "taro@example.com"), (None, "")):
            context = ssl.create_default_context(cafile=str(keys.authority))
            if file:
                context.load_cert_chain(file)
            with smtplib.SMTP("localhost", server.port, timeout=20) as client:
                client.starttls(context=context)
                client.ehlo()
                assert ("EXTERNAL" in client.esmtp_features["auth"]) == bool(who)
                code, _ = client.docmd("AUTH", "EXTERNAL =")
                assert code == (235 if who else 535)
                if who:
                    server.wait_log(f"login method=EXTERNAL user={who} ")
        assert PASSWORD not in server.log()
