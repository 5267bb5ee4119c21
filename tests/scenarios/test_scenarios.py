"""Every folder of tests/scenarios/cases played to tayori: replies, and what became of the mail, line by line.

Then `explain` is asked about each mail that the server's history kept: it must give the same replies, decided by the
same rules in the same lines after the same look-ups. What it cannot know is UNEXPLAINED.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import scenario as sc
from support.explained import LivedRuns
from support.peers import need_root


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivedRuns]:
    """One importing process for all of them."""
    root: Path = tmp_path_factory.mktemp("scenarios")
    with LivedRuns(root) as running:
        yield running


UNEXPLAINED = {
    "bdat-errors": "commands in a wrong order",
    "bdat-reject-bare": "line ends are the client's; explain has the message",
    "bare-newline-code": "line ends are the client's; explain has the message",
    "allow-min-user-off": "bad syntax",
    "helo-twice": "the client goes on after an error, a second HELO inside a mail",
    "no-delay-client": "the client goes on after it was refused",
    "no-delay-helo": "the client goes on with another HELO after it was refused",
    "resolve-null-domain-off": "bad syntax",
    "smtp-bare-newline-reject": "line ends are the client's; explain has the message",
    "smtp-discard-keywords": "parameters of MAIL and RCPT",
    "smtp-ehlo": "bad syntax",
    "smtp-ehlo-by-address": "parameters of MAIL and RCPT",
    "smtp-hard-errors": "too many errors in a row",
    "smtp-junk": "too many idle commands in a row",
    "smtp-mail-parameters": "bad syntax",
    "smtp-mail-syntax": "bad syntax",
    "smtp-order": "commands in a wrong order",
    "notify-protocol": "bad syntax",
    "smtp-paths": "bad syntax",
    "smtp-paths-strict": "bad syntax",
    "smtp-rcpt-parameters": "bad syntax",
    "smtp-rcpt-syntax": "bad syntax",
    "smtp-size-limit": "a declared SIZE; explain has the message",
    "smtp-strict-envelope": "bad syntax",
    "tls-required": "the client goes on with STARTTLS after it was refused",
    "tls-starttls": "commands in a wrong order",
    "unauth-pipelining": "the client's haste",
    "utf8-discarded": "SMTPUTF8 said where it is not offered",
    "utf8-envelope": "SMTPUTF8 said and not said",
    "utf8-helo": "bad syntax",
    "utf8-off": "SMTPUTF8 said where it is not offered",
    "utf8-rcpt": "bad syntax",
    "utf8-strict": "SMTPUTF8 said and not said",
    "utf8-strict-off": "SMTPUTF8 said where it is not offered",
}
"""Folders whose client does what explain's never does."""


UNSEEN = {
    **dict.fromkeys(
        ("local-command-directory", "local-command-exit", "local-command-time-limit", "local-mailbox-command-maps"),
        "explain runs no command, so it does not know what one answers",
    ),
    "local-file": "explain does not open the file, which may be run as a program",
    "recipient-unlisted": "a mailbox that its user may not write to: explain does not try",
}
"""Folders of which explain does not know where the mail lands."""


def test_few_folders_are_unexplained() -> None:
    assert set(UNEXPLAINED) <= set(sc.all_scenarios())
    assert len(UNEXPLAINED) < len(sc.all_scenarios()) / 10


# what a folder holds is what happens where mailboxes belong to users of their own
OWN_USERS = {
    "recipient-unlisted": "a mailbox that its user may not write to",
    "virtual-minimum-uid": "a mailbox of another user",
    "local-forward-unsafe": "files of several users",
    "local-command": "a command that runs as default_privs, not as ourselves",
}


@pytest.mark.parametrize("name", sc.all_scenarios())
def test_scenario(name: str, runs: LivedRuns) -> None:
    scenario = sc.read(sc.CASES / name)
    if scenario.needs_root:
        need_root("a name server on port 53")
    if name in OWN_USERS:
        need_root(OWN_USERS[name])
    dialogue, delivered = runs.run(scenario)
    assert dialogue == scenario.dialogue(), runs.log_tail()
    assert delivered == scenario.delivered.splitlines(), runs.log_tail()
    assert runs.mails or not any(line.startswith("C: RCPT") for line in dialogue), "the history kept nothing"
    if name not in UNEXPLAINED:
        ended = [line.split()[:2] for line in delivered if line.startswith(("sent", "bounced", "deferred"))]
        for live, said, going in runs.mails:
            assert said == live
            for status, address in map(str.split, () if name in UNSEEN else going):
                assert [status, address] in ended or (status == "?" and address in {one[1] for one in ended})
