from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tayori.sasl import hashes
from tayori.sasl.steps import Secret
from tayori.sasl.verifiers.base import Accepted, Refused, TryLater
from tayori.sasl.verifiers.ldap import escape_dn, escape_filter, fill
from tayori.sasl.verifiers.passwd_file import PasswdFile
from tayori.sasl.verifiers.shadow import Shadow
from tayori.sasl.verifiers.sql import _hosts, complain


@pytest.mark.parametrize(
    ("select", "bad"),
    [
        ("SELECT p FROM u WHERE n = '%u' AND r='%r'", False),
        ("SELECT %p FROM u WHERE n = '%u'", True),
        ("SELECT p FROM u WHERE n = %u", True),
        ("SELECT p FROM u WHERE n = E'%u'", True),
        ("SELECT p FROM u WHERE n = $$%u$$", True),
        ("SELECT p FROM u WHERE n LIKE '100%%' AND m = '%u", True),
        ('SELECT p FROM u WHERE n = "%u"', False),
    ],
)
def test_where_a_mark_may_stand(select: str, bad: bool) -> None:
    assert bool(complain(select)) == bad


def test_hosts() -> None:
    assert _hosts("a, b:33 /run/s [::1]:5") == [("a", 0), ("b", 33), ("/run/s", 0), ("::1", 5)]
    assert _hosts("") == [("", 0)]


def test_ldap_escapes() -> None:
    assert escape_filter("a*)(b\\\0") == "a\\2a\\29\\28b\\5c\\00"
    assert escape_dn('x,y="z"') == 'x\\,y\\=\\"z\\"'
    assert fill("(&(uid=%U)(mail=%u)(d=%d))", "taro@x.org", "r") == "(&(uid=taro)(mail=taro@x.org)(d=x.org))"


def test_passwd_file(tmp_path: Path) -> None:
    file = tmp_path / "users"
    keys = hashes.make_scram("pw", "SHA-256", 100)
    file.write_text(
        f"# users\ntaro:$5$saltsalt$xCCMrRYtKBBDBPSgVxiY0iVIKxvaVEy3vDBbzWWmuJC::::\nplain:{{PLAIN}}p:w\n"
        f"scram@example.com:{keys}\nodd:{{NTLM}}x\n"
    )
    import crypt
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = (
            file.read_text().split("$5$")[0]
            + crypt.crypt("pw", "$5$saltsalt$")
            + file.read_text()[file.read_text().index("::::") :]
        )
    file.write_text(text)
    verifier = PasswdFile(file, domains=("mail.example.com",))

    async def scenario() -> None:
        async def ask(user: str, password: str, realm: str = "") -> object:
            return await verifier.verify(user, password, realm, "smtp")

        assert await ask("taro", "pw") == Accepted("taro", verifier.name)
        assert await ask("taro", "pw", "mail.example.com") == Accepted("taro", verifier.name)
        assert isinstance(await ask("taro", "pw", "elsewhere.example"), Refused)
        assert isinstance(await ask("taro", "x"), Refused)
        assert isinstance(await ask("nobody", "x"), Refused)
        assert await ask("plain", "p:w") == Accepted("plain", verifier.name)
        assert await ask("scram", "pw", "example.com") == Accepted("scram@example.com", verifier.name)
        odd = await ask("odd", "x")
        assert isinstance(odd, TryLater) and "NTLM" in odd.why
        assert verifier.properties == frozenset(), "taro's hash serves no challenge"
        found = await verifier.fetch("scram", "example.com", ("cmusaslsecretSCRAM-SHA-256",))
        assert isinstance(found, Secret) and found.username == "scram@example.com"
        assert isinstance(await verifier.fetch("taro", "", ("userPassword",)), Refused)
        file.write_text(f"plain:{{PLAIN}}pw\nscram:{keys}\n")
        assert verifier.properties == {"cmusaslsecretSCRAM-SHA-256"}
        file.write_text("plain:{PLAIN}pw\n")
        assert verifier.properties == {"userPassword"}
        file.unlink()
        assert isinstance(await ask("taro", "pw"), TryLater)

    asyncio.run(scenario())


def test_shadow_rules(tmp_path: Path) -> None:
    file = tmp_path / "shadow"
    hashed = "$1$salt$" + hashes._md5_crypt(b"pw", b"salt", b"$1$").decode().rsplit("$", 1)[1]
    lines = {
        "good": "::0:99999:7:::",
        "expired": "::0:99999:7::1:",
        "old": ":100:0:30:7:5::",
        "must": ":0:0:99999:7:::",
    }
    file.write_text(
        "".join(
            f"{name}:{hashed}{rest.replace('::', ':19000:', 1) if rest.startswith('::') else rest}\n"
            for name, rest in lines.items()
        )
        + f"locked:!{hashed}:19000:0:99999:7:::\n"
    )

    async def scenario() -> None:
        verifier = Shadow(str(file))
        answers = {name: await verifier.verify(name, "pw", "", "smtp") for name in (*lines, "locked", "nobody")}
        assert answers.pop("good") == Accepted("good", verifier.name)
        assert {name: answer.why for name, answer in answers.items()} == {  # type: ignore[union-attr]
            "expired": "the account has expired",
            "old": "the password has expired",
            "must": "the password must be changed first",
            "locked": "locked",
            "nobody": "no such user",
        }
        assert isinstance(await verifier.verify("good", "bad", "", "smtp"), Refused)

    asyncio.run(scenario())
