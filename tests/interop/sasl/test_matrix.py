"""Every filled field of the matrix in docs/sasl.md: a real client logs in at a running tayori with a real back end."""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
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


def get_in(login: Login, client: str) -> bool:
    if client == "gsasl" and login.mechanism == "DIGEST-MD5":
        login = replace(login, realm=HOST)
    return CLIENTS[client](login)


def try_both(good: Login, bad: Login | None, client: str) -> list[str]:
    """What went wrong: first with a wrong secret, if any, which nobody may get in with, then with the right one."""
    name, wrong = f"{client} by {good.mechanism}", []
    if bad is not None and get_in(bad, client):
        wrong.append(f"{name} with a wrong secret")
    if not get_in(good, client):
        wrong.append(name)
    return wrong


def wrong_secret(good: Login, store: Store) -> Login | None:
    """The same login with a password, token, certificate or ticket that is not right; None where nothing can be."""
    if good.mechanism == "ANONYMOUS":
        return None
    return replace(
        good, password="wrong-one", token=good.token and "wrong-one", certificate=good.pki.lone, env=store.false_env
    )


@pytest.mark.parametrize("backend", matrix.BACKENDS)
def test_logins(backend: str, tmp_path: Path) -> None:
    folder_of(tmp_path)
    keys = pki.make(tmp_path)
    with BACKENDS[backend]() as store, server_for(tmp_path, store, keys) as server:
        base = Login(
            server.port, "PLAIN", store.user, store.password, keys, tmp_path, store.token, env=store.client_env
        )
        served = matrix.served(backend)
        assert offered(base, certificate=backend == "none") == set(served)

        def check(mechanism: str, client: str) -> list[str]:
            good = replace(base, mechanism=mechanism)
            bad = wrong_secret(good, store) if client == matrix.refused_client(backend, mechanism) else None
            return try_both(good, bad, client)

        # a right login after each wrong one keeps delays away
        with ThreadPoolExecutor(4) as pool:
            answers = list(
                pool.map(check, *zip(*((m, c) for m in served for c in matrix.clients(m, backend)), strict=True))
            )
        assert not list(chain.from_iterable(answers)), server.log()[-6000:]
        for name in served:
            if not matrix.clients(name, backend):
                why = deliver(server.port, tmp_path, name, "wrong-one")
                assert "535 5.7.8" in why, (name, why)
                assert deliver(server.port, tmp_path, name) == ""

        line = r"login method={} user=\S+ client=127\.0\.0\.1 backend=\S+ result={}"
        for name in served:
            if matrix.clients(name, backend):
                wait_for_line(server, line.format(name, "accepted"))
        if not {"EXTERNAL"} & set(served):  # where a client has nothing to offer it does not ask
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
