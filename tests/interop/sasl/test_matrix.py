"""Every filled field of the matrix in docs/sasl.md: a real client logs in at a running tayori with a real back end."""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from interop.sasl import matrix, pki
from interop.sasl.backends import BACKENDS, HOST, Store, folder_of
from interop.sasl.clients import CLIENTS, Login
from interop.sasl.test_submission import deliver
from support.server import Server

pytestmark = pytest.mark.peer

ASKED = "mech_list: scram-sha-512 scram-sha-256 scram-sha-1 digest-md5 cram-md5 oauthbearer xoauth2 plain login\n"


def server_for(tmp_path: Path, store: Store, keys: pki.Pki) -> Server:
    main = {
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sasl_local_domain": HOST,
        "smtpd_tls_security_level": "may",
        "smtpd_tls_auth_only": "yes",
        "smtpd_tls_chain_files": str(keys.server),
        "smtpd_tls_CAfile": str(keys.authority),
        "smtpd_tls_ask_ccert": "yes",
        **store.main,
    }
    conf = store.conf if "mech_list" in store.conf else store.conf + ASKED
    return Server(tmp_path, main, files={"sasl/smtpd.conf": conf}, env=store.env)


def offered(login: Login, certificate: bool) -> set[str]:
    """The mechanisms in the answer to EHLO over TLS."""
    context = ssl.create_default_context(cafile=str(login.pki.authority))
    if certificate:
        context.load_cert_chain(login.pki.client)
    with smtplib.SMTP("localhost", login.port, timeout=20) as client:
        client.ehlo()
        assert not client.has_extn("auth"), "smtpd_tls_auth_only"
        client.starttls(context=context)
        client.ehlo()
        return set(re.findall(r"[A-Z0-9-]+", client.esmtp_features.get("auth", "")))


def get_in(login: Login, client: str) -> tuple[str, str, bool]:
    if client == "gsasl" and login.mechanism == "DIGEST-MD5":
        login = replace(login, realm=HOST)
    return client, login.mechanism, CLIENTS[client](login)


@pytest.mark.parametrize("backend", matrix.BACKENDS)
def test_logins(backend: str, tmp_path: Path) -> None:
    folder_of(tmp_path)
    keys = pki.make(tmp_path)
    with BACKENDS[backend]() as store, server_for(tmp_path, store, keys) as server:
        base = Login(server.port, "PLAIN", store.user, store.password, keys, tmp_path, store.token)
        served = matrix.served(backend)
        assert offered(base, certificate=backend == "none") == set(served)

        tries = [(name, client) for name in served for client in matrix.clients(name)]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda t: get_in(replace(base, mechanism=t[0]), t[1]), tries))
        failed = [f"{client} by {mechanism}" for client, mechanism, good in answers if not good]
        assert not failed, server.log()[-6000:]
        for name in served:
            if not matrix.clients(name):
                assert deliver(server.port, tmp_path, name, smtp_tls_security_level="encrypt") == ""

        bad = replace(base, password="wrong-one", token=store.token and "wrong-one")
        for name in served[:1] + served[-1:]:
            if name not in ("EXTERNAL", "ANONYMOUS", "GSSAPI"):
                client = next(iter(matrix.clients(name)), "")
                if client:
                    assert not get_in(replace(bad, mechanism=name), client)[2]
        line = r"login method={} user=\S+ client=127\.0\.0\.1 backend=\S+ result={}"
        for name in served:
            if matrix.clients(name):
                wait_for_line(server, line.format(name, "accepted"))
        if set(served) & {"PLAIN", "XOAUTH2"}:
            wait_for_line(server, line.format(r"\S+", r"refused \(.+\)"))
        log = server.log() + server.stderr()
        for secret in filter(None, (store.password, store.token, "wrong-one")):
            assert secret not in log


def wait_for_line(server: Server, pattern: str) -> None:
    """The log is written at the end of a turn of the event loop, after the reply has left."""
    until = time.monotonic() + 5
    while not re.search(pattern, server.log()):
        assert time.monotonic() < until, pattern
        time.sleep(0.02)
