"""The command line of `twelvefold`."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from pathlib import Path

NOTHING_DONE, INTERRUPTED = 2, 130
BROKEN_PIPE = 141  # as a shell tells of a program that SIGPIPE has ended


def command() -> int:
    """Runs the command as a shell starts it: once it is done, an impatient Ctrl-C changes nothing any more."""
    code = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def main() -> int:
    """Does what the command line says; returns the exit code."""
    _open_what_is_closed()
    arguments = _parser().parse_args()
    _let_nothing_lead_git_away()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name need not be text, and what is done is to be told
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        return _end_quietly()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return INTERRUPTED
    except (OSError, UnicodeError) as error:
        sys.stderr.write(f"twelvefold: {' '.join(str(error).split())}\n")
        return NOTHING_DONE
    return code


def _open_what_is_closed() -> None:
    """Gives a place to what nobody is to read, as after `>&-`: a file of the update's must not become the output."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            opened = os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8")
            setattr(sys, name, opened)


def _let_nothing_lead_git_away() -> None:
    """Keeps what a git hook sets from Copier's own git too."""
    from .update.git import LEADING_AWAY

    for name in LEADING_AWAY:
        os.environ.pop(name, None)


def _end_quietly() -> int:
    """Ends as other programs do when nobody reads what they print any more."""
    # What is still to be printed must go somewhere, or Python complains when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


class _ShowVersion(argparse.Action):
    """Says the version. Where it is asked for, since looking it up takes longer than many a command."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            said = version("twelvefold")
        except PackageNotFoundError:
            said = "0"
        sys.stdout.write(f"twelvefold {said}\n")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="twelvefold",
        description="Proves that a service follows the twelve factors, and keeps it by its template: takes new "
        "versions, adopts what exists, tells drift, and says where all services stand.",
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="say which version this is, and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    prove = commands.add_parser(
        "prove",
        help="run the experiments on a service",
        epilog="Ends with 0 where all that ran is proved, 1 where a claim failed or the page is not what was found, "
        "2 where nothing could be proved, 130 when it was stopped.",
    )
    prove.set_defaults(run=_prove)
    prove.add_argument("project", nargs="?", type=Path, default=Path(), help="the service's folder, default: this one")
    prove.add_argument("--claim", default="", metavar="NUMBER", help="only these, as in IX.2 or IX or III.1,III.2")
    prove.add_argument("--fast", action="store_true", help="only the short selection for pull requests")
    prove.add_argument(
        "--image", default="", metavar="IMAGE", help="run the service from this image, NAME or NAME@sha256:..."
    )
    side_by_side = "how many experiments run side by side, default: 3 a processor"
    prove.add_argument("--at-once", type=int, metavar="N", help=side_by_side)
    evidence = "where the evidence goes, default: .twelvefold in the project"
    prove.add_argument("--evidence", type=Path, metavar="FOLDER", help=evidence)

    prove.add_argument("--check", action="store_true", help="compare the page with what is found, and write none")

    init = commands.add_parser("init", help="draft a factors.toml by looking at a service")
    init.set_defaults(run=_init)
    init.add_argument("project", nargs="?", type=Path, default=Path(), help="the service's folder, default: this one")

    eject = commands.add_parser("eject", help="copy this command into a service that wants to do without the template")
    eject.set_defaults(run=_eject)
    eject.add_argument("project", nargs="?", type=Path, default=Path(), help="the service's folder, default: this one")

    update = commands.add_parser(
        "update",
        help="take a new version of the template, and lose nothing",
        epilog="Ends with 0 where it merged or there is nothing to do, 1 where there are conflicts, 2 where nothing "
        "was done; of several services the worst counts. Ends with 130 when it was stopped.",
    )
    update.set_defaults(run=_update)
    update.add_argument("project", nargs="*", type=Path, default=[Path()], help="the services, default: this folder")
    update.add_argument("--to", metavar="VERSION", help="which version of the template, default: its newest release")
    update.add_argument("-d", "--data", action="append", default=[], metavar="QUESTION=ANSWER", help="another answer")
    update.add_argument("--check", action="store_true", help="say what would happen, and change nothing")
    update.add_argument("--yes", action="store_true", help="ask nothing, and trust the template's code")
    update.add_argument(
        "--derive", action="store_true", help="also make the derived files again: runs make setup derive in a copy"
    )
    update.add_argument("--json", action="store_true", help="say what happened as JSON")
    update.add_argument("--body", type=Path, metavar="FILE", help="write what happened as the text of a pull request")
    update.add_argument("--as-released", action="store_true", help="let the template's newest release do it")

    adopt = commands.add_parser(
        "adopt",
        help="bring a service that no template made under the template's standards",
        epilog="Ends with 0 where it is done, 1 where files are to be merged by hand, 2 where nothing was done, "
        "130 where it was stopped.",
    )
    adopt.set_defaults(run=_adopt)
    adopt.add_argument("project", nargs="?", type=Path, default=Path(), help="the service's folder, default: this one")
    adopt.add_argument(
        "--from", dest="source", metavar="TEMPLATE", required=True, help="the template's address or folder"
    )
    adopt.add_argument("--to", metavar="VERSION", help="which version of the template, default: its newest release")
    adopt.add_argument("-d", "--data", action="append", default=[], metavar="QUESTION=ANSWER", help="an answer")
    adopt.add_argument("--check", action="store_true", help="ask nothing, say what would happen, and change nothing")
    adopt.add_argument(
        "--diff", action="store_true", help="with --check or --yes: show the files that both have side by side"
    )
    adopt.add_argument(
        "--yes", action="store_true", help="ask nothing, keep all that exists, and trust the template's code"
    )
    adopt.add_argument("--json", action="store_true", help="ask nothing, and say what happened as JSON")

    undo = commands.add_parser(
        "undo",
        help="take the last update of a service back, or its adoption",
        epilog="Ends with 0 where it was taken back, 2 where nothing was undone.",
    )
    undo.set_defaults(run=_undo)
    undo.add_argument("project", nargs="?", type=Path, default=Path(), help="the service's folder, default: this one")

    drift = commands.add_parser(
        "drift",
        help="say how far services are from their template, and change nothing",
        description="Compares standard files with the version of the template that a service has, and with the newest.",
        epilog="Ends with 0 where there is no drift, 1 where there is, 2 where a service could not be looked at. "
        "Differences with a reason and a date in the service's drift.toml are no drift.",
    )
    drift.set_defaults(run=_drift)
    drift.add_argument("project", nargs="*", type=Path, default=[Path()], help="the services, default: this folder")
    drift.add_argument("--diff", action="store_true", help="also show what was edited")
    drift.add_argument("--all", action="store_true", help="also name the files that are unchanged")
    drift.add_argument("--or-behind", action="store_true", help="end with 1 too where a newer release is not taken yet")
    drift.add_argument("--yes", action="store_true", help="trust the template's code, where rendering it needs that")
    drift.add_argument("--json", action="store_true", help="say what was found as JSON")
    _add_status(commands.add_parser("status", help="say where services stand, here or on servers"))
    return parser


def _add_status(status: argparse.ArgumentParser) -> None:
    status.set_defaults(run=_status)
    status.description = (
        "Says where services stand, what needs care first. Exit code: 0 all well, 1 care needed, 2 error."
    )
    place = "a service's folder, or its repository's address, with #FOLDER for one inside it"
    status.add_argument("place", nargs="*", metavar="PATH", help=place)
    lists = "a file that lists such places, one a line; # begins a comment"
    status.add_argument("--from", dest="lists", action="append", default=[], type=Path, metavar="FILE", help=lists)
    status.add_argument(
        "--drift", action="store_true", help="also render each service to tell its drift: seconds for each"
    )
    status.add_argument("--json", action="store_true", help="say it as JSON")
    status.add_argument("--at-once", type=int, default=16, help="how many are looked at side by side, default: 16")
    status.add_argument(
        "--timeout", type=float, default=30, metavar="SECONDS", help="how long a server may take, default: 30"
    )


# Each command imports what it needs when it runs.


def _prove(arguments: argparse.Namespace) -> int:
    from .prove import Options, prove

    return prove(
        Options(
            project=arguments.project,
            claims=arguments.claim,
            fast=arguments.fast,
            image=arguments.image,
            at_once=arguments.at_once,
            evidence=arguments.evidence,
            check=arguments.check,
        )
    )


def _init(arguments: argparse.Namespace) -> int:
    from .draft import init

    return int(init(arguments.project))


def _eject(arguments: argparse.Namespace) -> int:
    from .eject import eject

    return eject(arguments.project)


def _update(arguments: argparse.Namespace) -> int:
    from .update.command import let_the_newest_release_do_it, update

    if arguments.as_released and (refused := let_the_newest_release_do_it(arguments.project[0], arguments.yes)):
        return refused
    return update(
        arguments.project,
        to=arguments.to,
        data=arguments.data,
        check=arguments.check,
        yes=arguments.yes,
        derive=arguments.derive,
        as_json=arguments.json,
        body=arguments.body,
    )


def _adopt(arguments: argparse.Namespace) -> int:
    from .adopt.command import adopt

    return adopt(
        arguments.project,
        arguments.source,
        to=arguments.to,
        data=arguments.data,
        check=arguments.check,
        diff=arguments.diff,
        yes=arguments.yes,
        as_json=arguments.json,
    )


def _undo(arguments: argparse.Namespace) -> int:
    from .update.command import undo

    return undo(arguments.project)


def _drift(arguments: argparse.Namespace) -> int:
    from .drift.command import drift

    return drift(
        arguments.project,
        diffs=arguments.diff,
        everything=arguments.all,
        or_behind=arguments.or_behind,
        yes=arguments.yes,
        as_json=arguments.json,
    )


def _status(arguments: argparse.Namespace) -> int:
    from .status.command import Options, status

    return status(
        arguments.place,
        Options(
            lists=arguments.lists,
            drift=arguments.drift,
            at_once=arguments.at_once,
            seconds=arguments.timeout,
            as_json=arguments.json,
        ),
    )


if __name__ == "__main__":
    sys.exit(command())
