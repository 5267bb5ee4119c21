"""The same table and the same keys, asked of the real postmap(1) and of ours: the answers must be the same."""

from __future__ import annotations

import io
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from support.peers import require
from support.rest import at_rest
from tayori.programs.commands import postalias, postmap

MAP = r"""# comment
a 1
A 2
"foo bar"@example.com quoted
plain   value with  blanks
user@example.com	dest@example.org,
	other@example.org
# a comment inside
	last@example.org
novalue
"open never closed
a\ b backslash
B: colon
ÄÖß eszett
	continued
@example.com catch
"""
MAP_KEYS = ["a", "A", '"foo bar"@example.com', "plain", "PLAIN", "USER@EXAMPLE.COM", "novalue", '"open', r"a\ b", "b:", "äöss", "äöß", "@example.com", "zz"]  # fmt: skip

CIDR = """
10.0.0.0/8 ten
10.1.0.0/16 never
!192.168.0.0/16 not192
if 192.168.0.0/16
192.168.1.1 one
!192.168.2.0/24 not2
endif
192.168.2.5 two5
2001:db8::/32 doc
[2001:db9::1] bracket
::/0 any6
10.0.0.1/8 bad
300.1.1.1 bad
1.2.3.4
"""
CIDR_KEYS = ["10.1.1.1", "192.168.1.1", "192.168.2.5", "192.168.3.4", "::1", "2001:db8::1", "2001:DB9:0::1", "8.8.8.8", "foo", "2001:db8::/32"]  # fmt: skip

RULES = r"""
/^alpha/ first
/^ALPHA$/i second
/^(.*)-outgoing@(.*)$/ 550 Use ${1}@$2 or $(1) for $$5
!/^neg/i notneg
if /^neg/
/(a)|(b)/ <$1><$2>
/x$/m multi
!/z/ noz
endif
/never/ $3
/unclosed
/foo(/ bad
|with/slash| slash
/^caseİ/ no
"""
RULE_KEYS = ["alphabet", "ALPHA", "list-outgoing@example.com", "other", "nega", "negb", "nega x", "negz", "negzx", "neg", "with/slash", "NEG q"]  # fmt: skip

REGEXP = r"""
/^[[:alpha:]]+@[^.]+\.com$/ class
/^a{2,3}b?$/ braces
/^[]x-]+$/ bracket
/^[^]]\]$/ negbracket
/^\(lit\)\+$/x basic
/^g\(x*\)\1$/x back
/^(one|two){2}$/ twice
/^q\.\*\?\+$/ escaped
/^w [0-9]{3}$/ space
/^\<word\>/ gnu
/a**b$/ stars
/^end$/ end
/^.{3},.$/ dot
/^m2$/m mline
"""
REGEXP_KEYS = ["Bob@example.com", "bob@ex.am.com", "aa", "aaab", "aaaab", "]x-", "y]", "]]", "litlit", "lit+", "lit", "gxx", "gxxxx", "gx", "onetwo", "one", "q.*?+", "w 123", "word up", "wordy", "aaab", "b", "end", "abc,x", "m2"]  # fmt: skip

PCRE = r"""
/^(?!owner-)(\w+)-list@/ list $1
/^\d{3}$/ digits
/^é\w?$/ accent
/^(?<name>x+)y/ named $1
/^a b$/x extended
/^ab$/x extended2
/bc/A anchored
/^(u+)/U ungreedy $1
/^CS$/i casesens
/(a+)+\d$/ slow
/^dollar$/E dollar
"""
PCRE_KEYS = ["a-list@x", "owner-list@x", "123", "1234", "é", "éa", "xxy", "a b", "ab", "bcd", "abc", "uuu", "CS", "cs", "aaaa1", "dollar"]  # fmt: skip


def both(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, spec: str, keys: list[str]
) -> None:
    real = require("postmap", "postfix")
    conf = tmp_path / "conf"
    conf.mkdir(exist_ok=True)
    (conf / "main.cf").write_text(
        f"compatibility_level = 3.6\nqueue_directory = {tmp_path}\ndata_directory = {tmp_path}\nmaillog_file =\n"
    )
    at_rest(tmp_path)
    at_rest(conf)
    asked = "".join(f"{key}\n" for key in keys)
    command = [real, "-c", str(conf), "-q", "-", spec]
    theirs = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=20)
    capfd.readouterr()
    monkeypatch.setattr(sys, "stdin", io.StringIO(asked))
    code = postmap.main(["-c", str(conf), "-q", "-", spec])
    ours = capfd.readouterr().out
    assert (ours.splitlines(), code) == (theirs.stdout.splitlines(), theirs.returncode)


@pytest.mark.peer
def test_hash_and_texthash(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "map"
    source.write_text(MAP)
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\nmaillog_file =\n")
    at_rest(tmp_path)
    subprocess.run([require("postmap", "postfix"), "-c", str(tmp_path), f"hash:{source}"], check=True, timeout=20)
    both(tmp_path, capfd, monkeypatch, f"hash:{source}", MAP_KEYS)
    both(tmp_path, capfd, monkeypatch, f"texthash:{source}", MAP_KEYS)


@pytest.mark.peer
@pytest.mark.parametrize(
    ("kind", "text", "keys"),
    [
        ("cidr", CIDR, CIDR_KEYS),
        ("regexp", RULES, RULE_KEYS),
        ("pcre", RULES, RULE_KEYS),
        ("regexp", REGEXP, REGEXP_KEYS),
        ("pcre", PCRE, PCRE_KEYS),
    ],
)
def test_rules(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    text: str,
    keys: list[str],
) -> None:
    source = tmp_path / "rules"
    source.write_text(text)
    both(tmp_path, capfd, monkeypatch, f"{kind}:{source}", keys)


@pytest.mark.peer
@pytest.mark.parametrize(
    ("spec", "keys"),
    [
        ("inline:{ Key=value, { other = text with, comma } {x=y} }", ["key", "KEY", "other", "x", "nope"]),
        ("static:word", ["anything"]),
        ("static:{ some words }", ["anything"]),
        ("unix:passwd.byname", ["root", "ROOT", "nobody-such"]),
        ("unix:group.byname", ["root", "daemon"]),
        ("unionmap:{inline:{a=1,b=2},inline:{a=3}}", ["a", "b", "c"]),
        ("pipemap:{inline:{a=b,x=y},inline:{b=end}}", ["a", "x", "q"]),
        ("randmap:{only}", ["a"]),
        ("cidr:{{10.0.0.0/8 ten}, {11.0.0.0/8 eleven}}", ["10.1.1.1", "11.1.1.1", "12.1.1.1"]),
        ("regexp:{{/^a(.)/ got $1}}", ["ab", "b"]),
        ("pcre:{{/^a(.)/ got ${1}}}", ["ab", "b"]),
        ("fail:x", ["a"]),
        ("proxy:inline:{a=b}", []),
    ],
)
def test_small_types(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, spec: str, keys: list[str]
) -> None:
    both(tmp_path, capfd, monkeypatch, spec, keys)


@pytest.mark.peer
def test_aliases(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "aliases"
    source.write_text(
        '# c\nroot: admin\nList: a@example.com,\n  b@example.com\n"with blank": x\n"q:colon" : y\n'
        'prog: "|/bin/cat > /dev/null"\nfile: /var/spool/x\ninc: :include:/etc/list\nbad@domain: x\nnocolon x\nempty:\n'
    )
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\nmaillog_file =\n")
    real = require("postalias", "postfix")
    subprocess.run([real, "-c", str(tmp_path), f"hash:{source}"], check=True, timeout=20)
    wrong = []
    for key in (
        "root",
        "ROOT",
        "list",
        "with blank",
        "q:colon",
        "prog",
        "file",
        "inc",
        "bad@domain",
        "nocolon",
        "empty",
    ):
        theirs = subprocess.run(
            [real, "-c", str(tmp_path), "-q", key, f"hash:{source}"], capture_output=True, text=True
        )
        capfd.readouterr()
        code = postalias.main(["-c", str(tmp_path), "-q", key, f"hash:{source}"])
        ours = capfd.readouterr().out
        if (code, "".join(ours.split())) != (theirs.returncode, "".join(theirs.stdout.split())):
            wrong.append((key, theirs.stdout, theirs.returncode, ours, code))
    assert not wrong


SQL_KEYS = ["u@d.com", "o'b@d.com", "plain", "@d.com", "d.com", "u@", "U@D.COM", "back\\slash@d.com", "x@a.b.d.com"]
SQL_FORMS = [
    "query = SELECT v FROM a WHERE k='%s'",
    "query = SELECT v FROM a WHERE k='%s'\nresult_format = <%s>",
    "query = SELECT v FROM a WHERE k='%s'\nresult_format = %u at %d",
    "query = SELECT v FROM a WHERE k='%s'\nresult_format = %s/%S/%U/%D/%1%%",
    "query = SELECT v FROM a WHERE k='%s'\ndomain = d.com",
    "query = SELECT v FROM a WHERE k='%s'\ndomain = other.com",
    "query = SELECT k, v FROM a WHERE k='%s'",
    "select_field = v\ntable = a\nwhere_field = k\nadditional_conditions = AND v <> 'r2'",
    "query = SELECT '%u'",
    "query = SELECT '%d'",
    "query = SELECT '%3.%2.%1'",
    "query = SELECT '%U-%D-%S'",
]


@pytest.mark.peer
@pytest.mark.parametrize("form", SQL_FORMS)
def test_sqlite(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    database = sqlite3.connect(tmp_path / "x.db")
    database.execute("CREATE TABLE a (k, v)")
    rows = [("u@d.com", "r1@x.y"), ("u@d.com", "r2"), ("u@d.com", ""), ("u@d.com", None), ("o'b@d.com", "quote")]
    rows += [("plain", "p"), ("d.com", "dom"), ("@d.com", "catch"), ("back\\slash@d.com", "bs"), ("u@", "@empty")]
    database.executemany("INSERT INTO a VALUES (?, ?)", rows)
    database.commit()
    database.close()
    (tmp_path / "s.cf").write_text(f"dbpath = {tmp_path}/x.db\n{form}\n")
    both(tmp_path, capfd, monkeypatch, f"sqlite:{tmp_path}/s.cf", SQL_KEYS)
