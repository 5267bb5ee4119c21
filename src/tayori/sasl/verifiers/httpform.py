"""httpform: the password is right when a web server says so (saslauthd's `-a httpform`).

Keys, in saslauthd.conf or smtpd.conf: httpform_url (ours), or httpform_host, httpform_port and httpform_uri as in
Cyrus; httpform_data, the body with %u, %p and %r, each URL-encoded. 2xx accepts, 401, 403 and other 4xx refuse,
everything else is "try later". Needs httpx (`pip install 'tayori[oauth]'`).
"""

from __future__ import annotations

import re
from urllib.parse import quote_plus, urlsplit

from tayori.config.origin import ConfigError
from tayori.config.smtpdconf import SmtpdConf
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.guard import Guard, Trouble
from tayori.sasl.verifiers.web import LIBRARIES, Web

DEFAULT_DATA = "username=%u&password=%p&realm=%r"


class HttpForm:
    """Verifier."""

    secrets = False
    libraries = LIBRARIES

    def __init__(self, url: str, data: str = DEFAULT_DATA, *, seconds: float = 10.0) -> None:
        self.name = f"httpform:{urlsplit(url).hostname}"
        self._url = url
        self._data = data
        self._guard = Guard(self.name, at_once=20, seconds=seconds)
        self._web = Web(seconds)

    @classmethod
    def from_conf(cls, conf: SmtpdConf) -> HttpForm:
        """Raises ConfigError."""
        url = conf.get("httpform_url")
        if not url and conf.get("httpform_host"):
            uri = conf.get("httpform_uri", "/")
            url = f"http://{conf.get('httpform_host')}:{conf.get('httpform_port', '80')}/{uri.lstrip('/')}"
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ConfigError(
                "httpform needs httpform_url", conf.origin("httpform_url"), "write httpform_url: https://…"
            )
        return cls(url, conf.get("httpform_data", DEFAULT_DATA))

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """POST the form."""
        values = {"u": username, "p": password, "r": realm, "%": "%"}
        body = re.sub(
            "%([upr%])",
            lambda m: quote_plus(values[m[1]], errors="surrogateescape") if m[1] != "%" else "%",
            self._data,
        )

        async def ask() -> Verdict:
            status, _ = await self._web.post(self._url, body)
            if 200 <= status < 300:
                return Accepted(f"{username}@{realm}" if realm else username, self.name)
            if 400 <= status < 500 and status not in (404, 405, 408, 429):
                return Refused(f"HTTP status {status}", self.name)
            if status in (429, 502, 503, 504):
                raise Trouble(f"HTTP status {status}")
            return TryLater(f"HTTP status {status}", self.name)  # perhaps it is only this name that it cannot bear

        return await self._guard.run(ask)

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """A form gives no secrets."""
        return Refused("a web form can only check passwords", self.name)

    async def probe(self) -> str:
        """Empty when the port takes connections."""
        return await self._web.probe(self._url)

    def close(self) -> None:
        """Let go."""
        self._guard.close()
