"""SCRAM-…-PLUS with real clients, by each version of TLS: which type they bind by, and whether they get in.

GNU SASL binds by tls-exporter in TLS 1.3 and tls-unique before. Cyrus's smtptest binds by tls-unique always and leaves
-PLUS out of the mechanism's name: before TLS 1.3 it gets in, in TLS 1.3, where tls-unique does not exist, it cannot.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from interop.sasl import matrix, pki
from interop.sasl.backends import HOST, folder_of
from interop.sasl.clients import Login, gsasl, run, smtptest
from interop.sasl.peers import PASSWORD
from interop.sasl.test_submission import deliver
from support.peers import require
from support.server import Server

pytestmark = pytest.mark.peer


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_channel_binding(version: str, tmp_path: Path) -> None:
    folder_of(tmp_path)
    keys = pki.make(tmp_path)
    (tmp_path / "users").write_text(f"taro:{{PLAIN}}{PASSWORD}\n")
    main = {
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sasl_local_domain": HOST,
        "smtpd_tls_security_level": "may",
        "smtpd_tls_chain_files": str(keys.server),
        "smtpd_tls_protocols": version,
    }
    conf = f"pwcheck_method: passwd-file\npasswd_file: {tmp_path}/users\n"
    with Server(tmp_path, main, files={"sasl/smtpd.conf": conf}) as server:
        login = Login(server.port, "", "taro", PASSWORD, keys, tmp_path)
        for mechanism in matrix.SCRAM_PLUS:
            here = replace(login, mechanism=mechanism)
            if mechanism not in matrix.CLIENT_LACKS["gsasl"]:
                assert gsasl(here), mechanism
                assert not gsasl(replace(here, password="wrong")), mechanism
                server.wait_log(f"login method={mechanism} user=taro@mail.example.com")
            assert smtptest(here) == (version == "TLSv1.2"), mechanism
            assert not smtptest(replace(here, password="wrong"))
            assert deliver(server.port, tmp_path, mechanism, smtp_tls_mandatory_protocols=version) == ""
        if version == "TLSv1.3":
            server.wait_log("refused (channel binding tls-unique is not available here)")

        # gsasl takes by itself the strongest that it knows
        said = run(
            login, require("gsasl"), "--smtp", "--verbose", "--starttls", f"--x509-ca-file={keys.authority}", "-a",
            "taro", "-p", PASSWORD, "--service=smtp", "--hostname=localhost", f"--connect=localhost:{server.port}",
            typed="QUIT\n",
        )  # fmt: skip
        assert re.search(r"^AUTH SCRAM-SHA-256-PLUS", said, re.MULTILINE) and "235 2.7.0" in said
