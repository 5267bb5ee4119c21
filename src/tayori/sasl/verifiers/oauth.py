"""oauth: bearer tokens for OAUTHBEARER and XOAUTH2, by introspection (RFC 7662) or as signed JWTs (RFC 9068).

Keys of smtpd.conf: oauth_introspection_url with oauth_client_id and oauth_client_secret; or oauth_key_file (a PEM
public key) or oauth_jwks_file (a JWK set), with oauth_issuer, oauth_audience and oauth_algorithms (RS256 ES256
EdDSA). oauth_username_claim (default email) is the claim that names the user; oauth_scope must be granted if set.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tayori.config.origin import ConfigError
from tayori.config.smtpdconf import SmtpdConf
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater, Verdict
from tayori.sasl.verifiers.guard import Guard, Trouble
from tayori.sasl.verifiers.web import LIBRARIES, Web

_ALGORITHMS = ("RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA")
_LEEWAY = 30


class OAuth:
    """Verifier of tokens alone."""

    secrets = False
    passwords = False
    tokens = True
    libraries = ("jwt", "jwt.algorithms", *LIBRARIES)

    def __init__(self, conf: SmtpdConf, *, seconds: float = 10.0) -> None:
        self._url = conf.get("oauth_introspection_url")
        self._client = (conf.get("oauth_client_id"), conf.get("oauth_client_secret"))
        self._key_file = conf.get("oauth_key_file")
        self._jwks_file = conf.get("oauth_jwks_file")
        self._issuer = conf.get("oauth_issuer")
        self._audience = conf.get("oauth_audience")
        self._algorithms = [a for a in conf.words("oauth_algorithms") or _ALGORITHMS if a in _ALGORITHMS]
        self._claim = conf.get("oauth_username_claim", "email")
        self._scope = conf.get("oauth_scope")
        self.name = f"oauth:{urlsplit(self._url).hostname or self._key_file or self._jwks_file}"
        self._guard = Guard(self.name, at_once=20, seconds=seconds)
        self._web = Web(seconds)

    @classmethod
    def from_conf(cls, conf: SmtpdConf) -> OAuth:
        """Raises ConfigError when nothing says how tokens are checked."""
        made = cls(conf)
        if not (made._url or made._key_file or made._jwks_file):
            raise ConfigError(
                "oauth needs oauth_introspection_url, oauth_key_file or oauth_jwks_file",
                conf.origin("pwcheck_method"),
                "add one of them",
            )
        if not made._url and not made._audience:
            raise ConfigError(
                "oauth without oauth_audience would take tokens made for other services",
                conf.origin("oauth_key_file") or conf.origin("oauth_jwks_file"),
                "add oauth_audience: the name of this mail service",
            )
        return made

    async def check_token(self, authcid: str, token: str) -> Verdict:
        """Accepted carries the user of the token; a client that named somebody else is refused."""

        async def ask() -> Verdict:
            claims = await self._introspect(token) if self._url else self._decode(token)
            return claims if isinstance(claims, Refused) else self._judge(authcid, claims)

        return await self._guard.run(ask)

    async def verify(self, username: str, password: str, realm: str, service: str) -> Verdict:
        """Tokens are not passwords."""
        return Refused("only tokens can be checked", self.name)

    async def fetch(self, username: str, realm: str, wanted: tuple[str, ...]) -> Secret | Refused | TryLater:
        """No secrets."""
        return Refused("only tokens can be checked", self.name)

    async def probe(self) -> str:
        """Empty when the server takes connections, or the key can be read."""
        if self._url:
            return await self._web.probe(self._url)
        path = Path(self._key_file or self._jwks_file)
        try:
            path.read_bytes()
        except OSError as error:
            return f"{path}: {error.strerror}"
        return ""

    def close(self) -> None:
        """Let go."""
        self._guard.close()

    async def _introspect(self, token: str) -> dict[str, Any] | Refused:
        body = urlencode({"token": token, "token_type_hint": "access_token"})
        status, content = await self._web.post(self._url, body, self._client if self._client[0] else None)
        if status != 200:
            raise Trouble(f"introspection answered with HTTP status {status}")
        try:
            claims = json.loads(content)
        except ValueError as error:
            raise Trouble("introspection did not answer with JSON") from error
        if not isinstance(claims, dict) or claims.get("active") is not True:
            return Refused("the token is not active", self.name)
        return claims

    def _decode(self, token: str) -> dict[str, Any] | Refused:
        try:
            import jwt
        except ImportError as error:
            raise Trouble("needs the PyJWT library: pip install 'tayori[oauth]'") from error
        try:
            key: Any = Path(self._key_file).read_text() if self._key_file else self._jwk(jwt, token)
            return dict(
                jwt.decode(
                    token,
                    key,
                    algorithms=self._algorithms,
                    audience=self._audience,
                    issuer=self._issuer or None,
                    leeway=_LEEWAY,
                    options={"require": ["exp"]},
                )
            )
        except jwt.PyJWTError as error:
            return Refused(f"the token does not hold: {type(error).__name__}", self.name)
        except ValueError as error:
            raise Trouble("the key file cannot be read as a key") from error

    def _jwk(self, jwt: Any, token: str) -> Any:
        keys = jwt.PyJWKSet.from_json(Path(self._jwks_file).read_text())
        wanted = jwt.get_unverified_header(token).get("kid")
        for key in keys.keys:
            if wanted is None or key.key_id == wanted:
                return key.key
        raise jwt.InvalidKeyError

    def _judge(self, authcid: str, claims: dict[str, Any]) -> Verdict:
        if self._issuer and claims.get("iss", self._issuer) != self._issuer:
            return Refused("the token has another issuer", self.name)
        audience = claims.get("aud")
        if self._audience and audience is not None and self._audience not in _words(audience):
            return Refused("the token is for another service", self.name)
        if self._scope and not set(self._scope.split()) <= set(_words(claims.get("scope", ""))):
            return Refused("the token does not grant the scope", self.name)
        user = claims.get(self._claim) or claims.get("username") or ""
        if not isinstance(user, str) or not user:
            return Refused(f"the token has no claim {self._claim}", self.name)
        if authcid and authcid.casefold() != user.casefold():
            return Refused(f"the token is that of {user}", self.name)
        return Accepted(user, self.name)


def _words(value: Any) -> list[str]:
    return value.split() if isinstance(value, str) else [str(item) for item in value]
