"""tayori start, stop, reload, status: the life of one instance. Exit codes are sysexits."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable

from tayori.config.lint import fatal_findings, lint, read_source
from tayori.config.mastercf import Service
from tayori.config.origin import ConfigError
from tayori.config.settings import Settings
from tayori.net.system import probe
from tayori.programs.commands.control import default_directory, no_configuration
from tayori.programs.daemons.layout import Layout

EX_OK, EX_USAGE, EX_UNAVAILABLE, EX_CONFIG = 0, 64, 69, 78


def _options(name: str, description: str, argv: list[str]) -> str:
    command = argparse.ArgumentParser(f"tayori {name}", description=description)
    where = default_directory()
    command.add_argument("-c", dest="directory", default=where, help="the folder of main.cf (%(default)s)")
    return str(command.parse_args(argv).directory)


def vet(settings: Settings, services: tuple[Service, ...]) -> list[str]:
    """What forbids to start, as lines for a person."""
    return [
        f"{finding.origin}: {finding.title}. {finding.meaning} {finding.mend}".strip()
        for finding in fatal_findings(settings, services)
    ]


def start(argv: list[str]) -> int:
    """Run in the foreground until SIGTERM."""
    from tayori.programs.daemons.master import Master

    directory = _options("start", "Serve until SIGTERM; the configuration is checked first.", argv)

    def announce(where: str) -> None:
        print(f"tayori: serving on {where}", file=sys.stderr, flush=True)

    master = Master(os.path.abspath(directory), vet, announce)
    try:
        master.start()
        _warn(directory)
    except ConfigError as error:
        for line in (no_configuration(directory) or str(error)).splitlines():
            print(f"tayori: {line}", file=sys.stderr)
        print("tayori: not started", file=sys.stderr)
        return EX_CONFIG
    return master.run()


def _warn(directory: str) -> None:
    """Findings that do not stop us but should be read."""
    for finding in lint(read_source(directory, probe())):
        if finding.severity in ("warning", "error"):
            print(f"tayori: {finding.severity}: {finding.origin}: {finding.title}", file=sys.stderr)


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


def _with_running(name: str, description: str, argv: list[str], act: Callable[[Settings, int, str], int]) -> int:
    directory = _options(name, description, argv)
    try:
        settings = Settings.read(directory, probe())
    except ConfigError as error:
        print(f"tayori: {no_configuration(directory) or error}", file=sys.stderr)
        return EX_CONFIG
    pid = running(settings)
    if not pid:
        print(f"tayori: not running; start it with: tayori start -c {directory}", file=sys.stderr)
        return EX_UNAVAILABLE
    return act(settings, pid, directory)


def stop(argv: list[str]) -> int:
    """Stop the running instance; waits until it has ended."""

    def act(settings: Settings, pid: int, directory: str) -> int:
        os.kill(pid, signal.SIGTERM)
        for _ in range(300):
            if running(settings) != pid:
                print("tayori: stopped", file=sys.stderr)
                return EX_OK
            time.sleep(0.1)
        print(f"tayori: process {pid} has not ended after 30 seconds", file=sys.stderr)
        return EX_UNAVAILABLE

    return _with_running("stop", "Stop the running server; mail in hand is finished first.", argv, act)


def reload(argv: list[str]) -> int:
    """Let the running instance read its configuration again; a bad one is refused here and there."""

    def act(settings: Settings, pid: int, directory: str) -> int:
        from tayori.config.mastercf import read_services
        from tayori.programs.daemons.compose import furnish, smtpd_services

        try:
            services = tuple(read_services(settings))
            refused = vet(settings, services)
            if not refused:
                # as the master does before it lets go of what runs: here a person sees why not
                smtpd_services(furnish(settings, services, verify=True))
        except ConfigError as error:
            refused = [str(error)]
        if refused:
            for line in refused:
                print(f"tayori: {line}", file=sys.stderr)
            print("tayori: not reloaded; the running configuration goes on", file=sys.stderr)
            return EX_CONFIG
        os.kill(pid, signal.SIGHUP)
        print("tayori: reloading", file=sys.stderr)
        return EX_OK

    return _with_running("reload", "Read the configuration again; no connection is cut.", argv, act)


def status(argv: list[str]) -> int:
    """Say whether it runs, and what is in the queue."""

    def act(settings: Settings, pid: int, directory: str) -> int:
        from tayori.programs.commands.control import Failed, ask, connect

        print(f"tayori: running, process {pid}, configuration {directory}")
        try:
            answer = ask(connect(settings), {"op": "status"})
        except Failed as error:
            print(f"tayori: its workers do not answer: {error}", file=sys.stderr)
            return EX_UNAVAILABLE
        print(f"tayori: {answer.get('queued')} messages in the queue, {answer.get('active')} being delivered now")
        return EX_OK

    return _with_running("status", "Say whether the server runs.", argv, act)
