"""Everything that tayori's own commands say to a person is said in Japanese where Japanese is asked for: help, questions,
what they write, and what went wrong. Lines of Postfix's and Cyrus's tools, the log and SMTP replies stay English."""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tayori
from support import login_server
from support.english import english
from support.ports import free_port
from support.server import Server
from tayori.programs import main
from tayori.programs.commands import init
from tayori.programs.commands.arguments import Arguments
from tayori.programs.language import ENGLISH, N_, Language, choose, prefer
from tayori.programs.msgids import PEERS, template

OWN = [name for name in main.COMMANDS if name not in main.LINKED]
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
PLAIN = re.compile(
    r"\s+[\[-]\S.*"  # the rest of a usage line
    r"|\s+[A-Z|-]+|\s+[A-Z-]+\|.*|\s+[a-z]+\|.*|taro|hanako|[0-9A-F]{8,}"  # names
    r"|\s+(since:TIME until:TIME )?ADDRESS refused accepted bounced deferred.*|\s+sent"  # the words of find
    r"|\s+smtpd_\w+|  [SC ]: .*|  ESMTP, .*|\s*RCPT TO <.*> → \d\d\d .*"  # an SMTP session
    r"|  \w+: \S+main\.cf:\d+"  # where a setting stands
    r"|smtpd\.conf: .*|mechanisms?: .*"
)
"""Lines without prose."""


KEYWORDS = (
    "refused accepted bounced deferred",
    "forward_secrecy mutual_auth noactive noanonymous nodictionary noplaintext",
)


def foreign(text: str) -> list[str]:
    """Lines of prose that are not Japanese, and English inside those that are."""
    bare = [line for line in text.split("\n") if re.search("[A-Za-z]{2}", line) and not JAPANESE.search(line)]
    return [line for line in bare if not PLAIN.fullmatch(line)] + english(text, KEYWORDS)


@pytest.fixture
def japanese() -> Iterator[None]:
    prefer("ja")
    yield
    prefer("")


Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said(japanese: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    def run(*words: str) -> tuple[int, str]:
        try:
            code = main.run(words[0], list(words[1:]))
        except SystemExit as error:
            code = int(error.code or 0)
        return code, "".join(capsys.readouterr())

    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    return run


MAIN = """compatibility_level = 3.6
myhostname = mail.example.com
mydestination = example.com
queue_directory = DIR/q
tayori_single_user = yes
alias_maps =
inet_protocols = ipv4
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "main.cf").write_text(MAIN.replace("DIR", str(tmp_path)))
    (folder / "master.cf").write_text(f"127.0.0.1:{free_port()} inet n - n - - smtpd\n")
    return folder


@pytest.mark.parametrize("name", OWN)
def test_help(name: str, said: Said) -> None:
    code, text = said(name, "--help")
    assert code == 0 and "使い方: tayori" in text and "--lang" in text
    assert foreign(text) == []


def test_the_list_of_commands(japanese: None) -> None:
    assert foreign(main.usage()) == []


@pytest.mark.parametrize("action", ["add", "passwd", "list", "delete"])
def test_help_of_user(action: str, said: Said) -> None:
    code, text = said("user", action, "--help")
    assert code == 0 and foreign(text) == []


@pytest.mark.parametrize("name", OWN)
def test_a_wrong_option(name: str, said: Said) -> None:
    code, text = said(name, "--no-such-option")
    assert code == 64 and foreign(text) == []


@pytest.mark.parametrize(
    "words",
    [("explain-login", "-m", "X", "taro"), ("test-mail", "--port", "x"), ("test-mail", "--wait", "x"), ("status", "-c"),
     ("user", "frob"), ("user",), ("explain-login", "taro", "--stdin", "--last")],
    ids=" ".join,
)  # fmt: skip
def test_wrong_arguments(words: tuple[str, ...], said: Said) -> None:
    code, text = said(*words)
    assert code == 64 and foreign(text) == []


QUESTION = ("--client", "127.0.0.1", "--from", "a@b.example", "--to", "c@example.com", "--no-dns")
WITH = {
    "user": ("list",),
    "explain": QUESTION,
    "trace": ("a@b.example",),
    "why": ("last",),
    "explain-login": ("taro",),
}


@pytest.mark.parametrize("name", [name for name in OWN if name not in ("init", "home-server", "rehearse")])
def test_there_is_no_configuration(name: str, said: Said, tmp_path: Path) -> None:
    code, text = said(name, *WITH.get(name, ()), "-c", str(tmp_path / "none"))
    assert code and text and foreign(text) == []


@pytest.mark.parametrize(
    "line",
    ["nonsense", "a b = c", "smtpd_recipient_limit = abc", "smtpd_client_restrictions = permit_foo", "myhostname = ${foo",
     "smtpd_client_restrictions = check_client_access", "smtpd_client_restrictions = check_client_access foo",
     "smtpd_client_restrictions = reject_rbl_client a.b=c", "smtpd_client_restrictions = sleep x",
     "smtpd_client_restrictions = check_policy_service x", "smtpd_tls_wrappermode = yes", "alias_maps = foo:bar",
     "alias_maps = nis:x", "alias_maps = hush:x", "mynetworks = 300.1.1.1", "mynetworks = 10.0.0.1/8", "relayhost = $relayhost",
     "smtpd_relay_restrictions = permit", "queue_directory = /proc/nothing", "mail_owner = nobodyhere\ntayori_single_user = no",
     "mail_owner = root\ntayori_single_user = no", "smtpd_tls_mandatory_protocols = x",
     "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = /nothing", "smtpd_tls_security_level = encrypt",
     "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = foo", "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot",
     "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_security_options = foo", "smtp_sasl_auth_enable = yes\nsmtp_sasl_type = foo",
     "default_destination_concurrency_negative_feedback = 2", "smtpd_restriction_classes = a\na = b\nb = a",
     "compatibility_level = x", "smtpd_soft_error_limit = $", "invalid_hostname_reject_code = 250"],
)  # fmt: skip
def test_a_configuration_that_cannot_be_used(line: str, said: Said, conf: Path) -> None:
    if "tayori_single_user = no" in line and os.geteuid() != 0:
        pytest.skip("only root has a mail_owner")
    with open(conf / "main.cf", "a") as file:
        file.write(line + "\n")
    (conf / "master.cf").write_text(f"192.0.2.1:{free_port()} inet n - n - - smtpd\n")  # which no machine here has
    code, text = said("start", "-c", str(conf))
    assert code == 78 and foreign(text) == [], text


@pytest.mark.parametrize(
    "line",
    ["bogus", "", "127.0.0.1:nosuch inet n - n - - smtpd", "192.0.2.1:2525 inet n - n - - smtpd", "x foo n - n - - smtpd",
     "127.0.0.1:2525 inet q - n - - smtpd", "127.0.0.1:2525 inet n - n x - smtpd", "127.0.0.1:2525 inet n - n - - smtpd -o",
     "127.0.0.1:2525 inet n - n - - smtpd -o x"],
)  # fmt: skip
def test_a_bad_master_cf(line: str, said: Said, conf: Path) -> None:
    (conf / "master.cf").write_text(line + "\n")
    code, text = said("start", "-c", str(conf))
    assert code == 78 and foreign(text) == [], text


def test_a_port_that_is_taken(said: Said, conf: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        (conf / "master.cf").write_text(f"127.0.0.1:{other.getsockname()[1]} inet n - n - - smtpd\n")
        code, text = said("start", "-c", str(conf))
    assert code == 78 and "が使っています" in text and foreign(text) == []


@pytest.mark.parametrize("name", ["stop", "reload", "status", "test-mail"])
def test_it_does_not_run(name: str, said: Said, conf: Path) -> None:
    code, text = said(name, "-c", str(conf))
    assert code == 69 and "動いていません" in text and foreign(text) == []


@pytest.mark.parametrize("words", [("trace", "a@b.example"), ("find",), ("why", "last"), ("rehearse", "/nothing")])
def test_there_is_no_history(words: tuple[str, ...], said: Said, conf: Path) -> None:
    code, text = said(*words, "-c", str(conf))
    assert code == 66 and foreign(text) == []


def test_accounts(said: Said, conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked: list[str] = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return passwords.pop(0)

    monkeypatch.setattr("getpass.getpass", typed)
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    where = ("-c", str(conf))
    for words, given, code in (
        (("add", "taro"), ["one", "two"], 65),
        (("add", "taro"), ["", ""], 65),
        (("add", "taro"), ["x" * 2000] * 2, 65),
        (("add", "taro"), ["one", "one"], 0),
        (("add", "taro"), ["one", "one"], 65),
        (("add", "a b"), ["one", "one"], 65),
        (("add", ""), ["one", "one"], 65),
        (("passwd", "taro"), ["two", "two"], 0),
        (("passwd", "hanako"), ["two", "two"], 65),
        (("list",), [], 0),
        (("delete", "hanako"), [], 65),
        (("delete", "taro"), [], 0),
    ):
        passwords[:] = given
        got, text = said("user", words[0], *where, *words[1:])
        assert (got, foreign(text)) == (code, []), (words, text)
    assert asked and all(JAPANESE.search(prompt) for prompt in asked)
    (conf / "accounts").unlink(missing_ok=True)
    (conf / "accounts").mkdir()
    assert foreign(said("user", "list", *where)[1]) == []


def test_explain_login(said: Said, conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(conf / "main.cf", "a") as file:
        file.write("smtpd_sasl_auth_enable = yes\n")
    (conf / "sasl").mkdir()
    for method in (
        "accounts",
        "saslauthd\nsaslauthd_path: /nothing/mux",
        "accounts\nmech_list: plain login scram-sha-1",
    ):
        (conf / "sasl" / "smtpd.conf").write_text(f"pwcheck_method: {method}\n")
        for words in (("taro",), ("taro", "--last"), ("taro", "-m", "LOGIN")):
            code, text = said("explain-login", *words, "-c", str(conf))
            assert code in (0, 1, 75) and foreign(text) == [], text


def test_explain_with_a_table_that_does_not_answer(said: Said, conf: Path) -> None:
    with open(conf / "main.cf", "a") as file:
        file.write("smtpd_client_restrictions = check_client_access tcp:127.0.0.1:1\n")
    code, text = said("explain", *QUESTION, "-c", str(conf))
    assert code == 1 and "接続できません" in text
    assert "cannot be reached" not in text and "look-ups answer" not in text
    assert foreign(text) == [], text


def test_init_asks_and_writes(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        "bad",
        "mail.example.com",
        "",
        "300.1.1.1/8",
        "192.0.2.0/24",
        "たぶん",
        "はい",
        "いいえ",
        "a b",
        "なし",
    ]
    asked: list[str] = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return answers.pop(0)

    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr("tayori.programs.commands.check_live.ports", lambda source: iter(()))
    where = ("-c", str(tmp_path / "c"))
    code, text = said("init", *where)
    assert code == 0 and not answers and foreign(text) == []
    assert asked and all(JAPANESE.search(prompt) for prompt in asked)
    for name in ("main.cf", "master.cf", "sasl/smtpd.conf"):
        for line in (tmp_path / "c" / name).read_text("utf-8").splitlines():
            if line.startswith("# ") and not re.match(r"# (service type|  )", line):
                assert JAPANESE.search(line), line
    code, text = said("check", *where)
    assert code == 0 and foreign(text) == []
    code, text = said("init", *where)
    assert code == 73 and foreign(text) == []
    code, text = said("init", "--yes", "-c", "/proc/nothing")
    assert code == 73 and foreign(text) == []


@pytest.mark.parametrize("yes", [True, False])
def test_init_writes_the_same_settings_in_both_languages(tmp_path: Path, yes: bool) -> None:
    def settings(say: Language, folder: Path) -> list[str]:
        answers = init.Answers("mail.example.com", "example.com", logins=yes, maildir=yes, root=yes)
        init.write(folder, answers, say)
        texts = [(folder / name).read_text("utf-8") for name in ("main.cf", "master.cf")]
        return [line for text in texts for line in text.replace(str(folder), "").splitlines() if line[:1] != "#"]

    assert settings(ENGLISH, tmp_path / "en") == settings(choose("ja"), tmp_path / "ja")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with login_server.made(tmp_path_factory.mktemp("ja")) as running:
        yield running


def test_a_running_server(server: Server) -> None:
    where = ("-c", str(server.conf))

    def answer(*words: str, stdin: str = "") -> str:
        done = server.command("--lang", "ja", *words, *where, stdin=stdin)
        text = done.stdout + done.stderr
        assert foreign(re.sub(r"delivered to maildir|connect to .*", "", text)) == [], text
        return text

    assert "動作中です" in answer("status")
    assert "すでに動いています" in answer("start")
    assert "に配送しました" in answer("test-mail", "--to", "hanako")
    assert "として受け付けられました" in answer("test-mail", "--user", "taro", "--to", "hanako", stdin="secret-1\n")
    assert "名前かパスワード" in answer("test-mail", "--user", "taro", "--to", "hanako", stdin="wrong\n")
    assert "ありません" in answer("test-mail", "--to", "nobody-here")
    assert "ありません" in answer("test-mail", "--port", "1")
    assert "受け付け" in answer("find")
    assert "結果を決めた規則" in answer("why", "last")
    answer("trace", "hanako@mail.example.com")
    answer("trace", "FFFFFF")
    answer("why", "nonsense")
    answer("explain-login", "taro", "--last")
    before = (server.conf / "main.cf").read_text()
    server.set("smtpd_client_restrictions", "permit_foo")
    assert "読み直しませんでした" in answer("reload")
    (server.conf / "main.cf").write_text(before)
    assert "読み直しています" in answer("reload")
    server.wait_log("reload -- tayori")
    assert JAPANESE.search(server.log()) is None


def test_the_letter_is_japanese_and_well_formed(server: Server) -> None:
    done = server.command("--lang=ja", "test-mail", "-c", str(server.conf), "--to", "hanako")
    assert done.returncode == 0 and "BODY=8BITMIME" in done.stdout
    text = server.wait_mail("hanako")[0].read_text("utf-8")
    assert "charset=utf-8" in text and JAPANESE.search(text.partition("\n\n")[2])


def _refused(server: Server) -> None:
    """A refusal that history knows of: it is written a little later than the client has its answer."""
    assert server.send("a@b.example", "nobody-here@mail.example.com", "Subject: x\r\n\r\nx\r\n")[:1] == "5"
    for _ in range(100):
        if server.command("why", "last", "-c", str(server.conf)).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError("history never had the refusal")


@pytest.mark.parametrize(
    "words",
    [("check",), ("find",), ("why", "last"), ("trace", "taro@mail.example.com"),
     ("explain", "--client", "198.51.100.1", "--from", "a@b.example", "--to", "c@d.example", "--no-dns")],
    ids=lambda words: str(words[0]),
)  # fmt: skip
def test_the_locale_does_not_change_what_machines_read(server: Server, words: tuple[str, ...]) -> None:
    command = (*words, "--json", "-c", str(server.conf))
    _refused(server)
    plain = server.command(*command).stdout
    server.env = {**(server.env or os.environ), "LC_ALL": "ja_JP.UTF-8"}
    try:
        assert server.command(*command).stdout == plain and isinstance(json.loads(plain), list | dict)
    finally:
        server.env["LC_ALL"] = "C.UTF-8"


def test_lang_stands_before_the_command_and_behind_it() -> None:
    assert main.language(["--lang", "ja", "status"]) == ("ja", ["status"])
    assert main.language(["--lang=ja", "status", "--lang", "en"]) == ("ja", ["status", "--lang", "en"])
    assert main.language(["status"]) == ("", ["status"])
    assert main.language(["--lang"]) == ("", [])
    prefer("ja")
    try:
        assert choose().code == "ja" and choose("en").code == "en"
    finally:
        prefer("")


def test_shapes() -> None:
    say = choose("ja")
    assert say.told('/x/main.cf:3: a: there is no restriction "b" (did you mean "c"?)').startswith(
        "/x/main.cf:3: a: 「b」"
    )
    assert say.told("nothing that anybody says") == "nothing that anybody says"
    assert say.told("Recipient address rejected: no") == "Recipient address rejected: no"
    assert say.told("[Errno 13] Permission denied: '/x'") == "/x: アクセス権がありません (errno 13)"
    assert ENGLISH.told("wrong password") == "wrong password"


# what is printed where, and what the words may be made of
PRINTS = {"print", "input", "getpass", "_fail", "_tell", "write"}
TEXTS = ("help", "description", "epilog")
PROSE = re.compile(r"[a-z]{2,} [a-z]{2,}")
BARE: dict[str, str] = {}
"""Bare texts that stay, with the reason."""


def bare(source: str) -> Iterator[str]:
    """Literals with prose that a print, a question or an option is given without say or N_."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        given = list(node.args) if name in PRINTS else []
        given += [each.value for each in node.keywords if each.arg in TEXTS]
        for expression in given:
            yield from prose(expression)


def prose(expression: ast.expr) -> Iterator[str]:
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        text = expression.value
    elif isinstance(expression, ast.JoinedStr):
        text = template(expression)
        for piece in expression.values:
            if isinstance(piece, ast.FormattedValue):
                yield from prose(piece.value)
    elif isinstance(expression, ast.IfExp | ast.BoolOp | ast.BinOp):
        for child in ast.iter_child_nodes(expression):
            if isinstance(child, ast.expr):
                yield from prose(child)
        return
    else:
        return
    if PROSE.search(re.sub(r"^tayori( [a-z-]+)?: ", "", text)):
        yield text


def test_no_own_command_prints_a_bare_text() -> None:
    root = Path(tayori.__file__).parent
    found = []
    for path in (root / "programs" / "main.py", *sorted((root / "programs" / "commands").glob("*.py"))):
        if not PEERS.match(str(path.relative_to(root))):
            found += [f"{path.name}: {text}" for text in bare(path.read_text("utf-8")) if text not in BARE]
    assert found == []


def test_bare_texts_are_found() -> None:
    source = (
        'print("two words")\nprint(say("two words"))\nprint(f"x: {1 if y else \'two words\'}")\na(help="two words")'
    )
    assert list(bare(source)) == ["two words", "two words", "two words"]


def test_every_parser_is_ours() -> None:
    """argparse's own class would say its texts in English, and take no --lang."""
    root = Path(tayori.__file__).parent / "programs" / "commands"
    for path in root.glob("*.py"):
        if not PEERS.match(f"programs/commands/{path.name}") and path.name != "arguments.py":
            assert "argparse.ArgumentParser(" not in path.read_text("utf-8"), path


def test_arguments_of_subcommands_are_said_too() -> None:
    made = Arguments("x", description=N_("accounts that may log in"))
    actions: argparse._SubParsersAction[Arguments] = made.add_subparsers()
    actions.add_parser("add", help=N_("let somebody log in"))
    made.speak(choose("ja"))
    assert "ログインできる人を追加します" in made.format_help()
