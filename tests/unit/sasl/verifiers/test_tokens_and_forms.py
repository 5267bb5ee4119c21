"""oauth and httpform against a small web server on loopback."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tayori.config import smtpdconf
from tayori.config.origin import ConfigError
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater
from tayori.sasl.verifiers.httpform import HttpForm
from tayori.sasl.verifiers.oauth import OAuth

jwt = pytest.importorskip("jwt")
pytest.importorskip("httpx")


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        status, body = 200, b""
        if self.path == "/form":
            status = {"päss&=": 200, "bad": 403}.get(form["p"][0], 500)
        elif self.path == "/away":
            status = 302
        elif form["token"][0] == "broken":
            status = 500
        else:
            claims = {
                "active": form["token"][0] == "good",
                "email": "taro@example.com",
                "scope": "mail other",
                "aud": "mail",
            }
            body = json.dumps(claims).encode()
        self.send_response(status)
        self.send_header("Location", "/form")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_httpform(url: str) -> None:
    conf = smtpdconf.parse(f"httpform_url: {url}/form\nhttpform_data: u=%u&p=%p&r=%r&x=100%%\n", "s")

    async def scenario() -> None:
        form = HttpForm.from_conf(conf)
        assert await form.probe() == ""
        assert await form.verify("taro", "päss&=", "r", "smtp") == Accepted("taro@r", form.name)
        assert isinstance(await form.verify("taro", "bad", "", "smtp"), Refused)
        assert isinstance(await form.verify("taro", "crash", "", "smtp"), TryLater)
        assert isinstance(await HttpForm(f"{url}/away").verify("taro", "x", "", "smtp"), TryLater)

    asyncio.run(scenario())


def test_introspection(url: str) -> None:
    def made(text: str = "") -> OAuth:
        return OAuth.from_conf(smtpdconf.parse(f"oauth_introspection_url: {url}/i\n{text}", "s"))

    async def scenario() -> None:
        name = made().name
        assert await made().check_token("", "good") == Accepted("taro@example.com", name)
        assert await made().check_token("Taro@example.com", "good") == Accepted("taro@example.com", name)
        assert isinstance(await made().check_token("jiro@example.com", "good"), Refused)
        assert isinstance(await made().check_token("", "old"), Refused)
        assert isinstance(await made().check_token("", "broken"), TryLater)
        assert isinstance(await made("oauth_scope: mail admin").check_token("", "good"), Refused)
        assert isinstance(await made("oauth_audience: web").check_token("", "good"), Refused)
        assert isinstance(await made("oauth_scope: mail\noauth_audience: mail").check_token("", "good"), Accepted)

    asyncio.run(scenario())


def test_jwt(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key.pem").write_bytes(public)
    base = f"oauth_key_file: {tmp_path}/key.pem\n"
    with pytest.raises(ConfigError, match="oauth_audience"):
        OAuth.from_conf(smtpdconf.parse(base, "s"))
    conf = smtpdconf.parse(f"{base}oauth_audience: mail\noauth_issuer: https://id.example\n", "s")
    good = {"aud": "mail", "iss": "https://id.example", "exp": time.time() + 60, "email": "taro@example.com"}

    async def ask(**changes: object) -> object:
        claims = {name: value for name, value in {**good, **changes}.items() if value is not None}
        return await OAuth.from_conf(conf).check_token("", jwt.encode(claims, key, "ES256"))

    async def scenario() -> None:
        assert isinstance(await ask(), Accepted)
        for change in (
            {"aud": "web"},
            {"iss": "https://evil.example"},
            {"exp": time.time() - 3600},
            {"exp": None},
            {"email": None},
            {"aud": None},
        ):
            assert isinstance(await ask(**change), Refused), change
        unsigned = jwt.encode(good, None, "none")
        forged = jwt.encode(good, "k" * 32, "HS256")
        for token in (unsigned, forged, "junk", ""):
            assert isinstance(await OAuth.from_conf(conf).check_token("", token), Refused)

    asyncio.run(scenario())
