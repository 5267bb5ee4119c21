"""tayori start, stop, reload, status: the life of one instance. Exit codes are sysexits."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable

from tayori.config.lint import Finding, fatal_findings, lint, read_source
from tayori.config.mastercf import Service
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.programs.commands.arguments import Arguments
from tayori.programs.commands.control import default_directory, no_configuration
from tayori.programs.daemons.layout import Layout
from tayori.programs.language import ENGLISH, N_, Language, choose

EX_OK, EX_USAGE, EX_UNAVAILABLE, EX_NOPERM, EX_CONFIG = 0, 64, 69, 77, 78


def _options(name: str, description: str, argv: list[str]) -> tuple[str, Language]:
    command = Arguments(f"tayori {name}", description=description)
    where = default_directory()
    command.add_argument(
        "-c", dest="directory", metavar="DIR", default=where, help=N_("the folder of main.cf (%(default)s)")
    )
    options = command.read(argv)
    return str(options.directory), choose(options.lang)


def _tell(text: str) -> None:
    print(f"tayori: {text}", file=sys.stderr, flush=True)


def lines_of(findings: Iterable[Finding], say: Language) -> list[str]:
    """What forbids to start, as lines for a person."""
    found = ((finding.origin, *say.finding(finding)) for finding in findings)
    return [
        say("{place}: {title}. {meaning} {mend}", place=place, title=title, meaning=meaning, mend=mend).strip()
        for place, title, meaning, mend in found
    ]


def start(argv: list[str]) -> int:
    """Run in the foreground until SIGTERM."""
    from tayori.programs.daemons.master import Master

    directory, say = _options("start", N_("Serve until SIGTERM; the configuration is checked first."), argv)
    refused: list[str] = []

    def vetted(settings: Settings, services: tuple[Service, ...]) -> list[str]:
        found = fatal_findings(settings, services)
        refused[:] = lines_of(found, say)
        return lines_of(found, ENGLISH)  # for the log

    def announce(where: str) -> None:
        _tell(say("serving on {where}", where=where))

    master = Master(os.path.abspath(directory), vetted, announce)
    try:
        master.start()
        _warn(directory, say)
    except ConfigError as error:
        said = "\n".join(refused) or no_configuration(directory, say) or say.error(error)
        for line in said.splitlines():
            _tell(line)
        _tell(say("not started"))
        return EX_CONFIG
    return master.run()


def _warn(directory: str, say: Language) -> None:
    """Findings that do not stop us but should be read."""
    for finding in lint(read_source(directory, probe())):
        if finding.severity in ("warning", "error"):
            _tell(f"{say(finding.severity)}: {finding.origin}: {say.finding(finding)[0]}")


def running(settings: Settings) -> int:
    """Process number of the running master, 0 when none runs."""
    path = Layout.of(settings).pid_file
    try:
        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return int(file.read().strip() or b"0")
    except (OSError, ValueError):
        return 0
    return 0


def _with_running(
    name: str, description: str, argv: list[str], act: Callable[[Settings, int, str, Language], int]
) -> int:
    directory, say = _options(name, description, argv)
    try:
        settings = Settings.read(directory, probe())
    except ConfigError as error:
        _tell(no_configuration(directory, say) or say.error(error))
        return EX_CONFIG
    pid = running(settings)
    if not pid:
        _tell(say("not running; start it with: tayori start -c {directory}", directory=directory))
        return EX_UNAVAILABLE
    return act(settings, pid, directory, say)


def _signal(pid: int, number: int, say: Language) -> bool:
    """Whether the signal could be sent."""
    try:
        os.kill(pid, number)
    except PermissionError:
        _tell(say("process {pid} belongs to another user; use sudo", pid=pid))
        return False
    except ProcessLookupError:
        pass  # it ended meanwhile
    return True


def stop(argv: list[str]) -> int:
    """Stop the running instance; waits until it has ended."""

    def act(settings: Settings, pid: int, directory: str, say: Language) -> int:
        if not _signal(pid, signal.SIGTERM, say):
            return EX_NOPERM
        for _ in range(300):
            if running(settings) != pid:
                _tell(say("stopped"))
                return EX_OK
            time.sleep(0.1)
        _tell(say("process {pid} has not ended after 30 seconds", pid=pid))
        return EX_UNAVAILABLE

    return _with_running("stop", N_("Stop the running server; mail in hand is finished first."), argv, act)


def reload(argv: list[str]) -> int:
    """Let the running instance read its configuration again; a bad one is refused here and there."""

    def act(settings: Settings, pid: int, directory: str, say: Language) -> int:
        from tayori.config.mastercf import read_services
        from tayori.programs.daemons.compose import furnish, smtpd_services

        try:
            services = tuple(read_services(settings))
            refused = lines_of(fatal_findings(settings, services), say)
            if not refused:
                # as the master does before it lets go of what runs: here a person sees why not
                smtpd_services(furnish(settings, services, verify=True))
        except ConfigError as error:
            refused = [say.error(error)]
        if refused:
            for line in refused:
                _tell(line)
            _tell(say("not reloaded; the running configuration goes on"))
            return EX_CONFIG
        if not _signal(pid, signal.SIGHUP, say):
            return EX_NOPERM
        _tell(say("reloading"))
        return EX_OK

    return _with_running("reload", N_("Read the configuration again; no connection is cut."), argv, act)


def status(argv: list[str]) -> int:
    """Say whether it runs, and what is in the queue."""

    def act(settings: Settings, pid: int, directory: str, say: Language) -> int:
        from tayori.programs.commands.control import Failed, ask, connect

        running_now = say("running, process {pid}, configuration {directory}", pid=pid, directory=directory)
        print(f"tayori: {running_now}")
        try:
            answer = ask(connect(settings), {"op": "status"})
        except Failed as error:
            _tell(say("its workers do not answer: {why}", why=say.told(str(error))))
            return EX_UNAVAILABLE
        counts = {"queued": answer.get("queued"), "active": answer.get("active")}
        print(f"tayori: {say('{queued} messages in the queue, {active} being delivered now', **counts)}")
        return EX_OK

    return _with_running("status", N_("Say whether the server runs."), argv, act)
