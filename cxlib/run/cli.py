"""The command line: `cxlib run`, `cxlib check`, `cxlib simulate`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cxlib.core.errors import Mistake
from cxlib.core.syntax import uncommented
from cxlib.core.words import Sentence, _, joined, languages
from cxlib.run import parameters, surroundings
from cxlib.study.schema import Study


def main(arguments: list[str] | None = None) -> int:
    """Run a command; a user's mistake ends in a message and exit code 2, a failed run in 1, Ctrl-C in 130, `kill` in 143."""
    surroundings.open_streams()
    language = _asked(sys.argv[1:] if arguments is None else arguments)
    options = _parser(language).parse_args(arguments)
    try:
        surroundings.writable_folders()
        _stop_when_told()
        return options.command(options)
    except KeyboardInterrupt as stopped:
        print(
            _("Interrupted. Nothing half-finished was left; run the command again to start clean.")[
                language
            ],
            file=sys.stderr,
        )
        return 128 + (stopped.args[0] if stopped.args else signal.SIGINT)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"cxlib: {error[language] if isinstance(error, Mistake) else error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError | FileNotFoundError) else 1


def _stop_when_told() -> None:
    """Let `kill` and a closed terminal end a command as Ctrl-C does; a signal the parent had ignored stays so (a job in the background)."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt(number)

    for name in ("SIGTERM", "SIGHUP"):
        told = getattr(signal, name, None)  # Windows has no SIGHUP
        if told and signal.getsignal(told) == signal.SIG_DFL:
            signal.signal(told, stop)


def _parser(language: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cxlib",
        description=_("From a customer-experience survey to a defensible answer.")[language],
    )
    commands = parser.add_subparsers(required=True, metavar=_("COMMAND")[language])
    _add_run(commands, language)
    _add_check(commands, language)
    _add_simulate(commands, language)
    return parser


if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def _add_run(commands: Commands, language: str) -> None:
    run = commands.add_parser(
        "run",
        help=_("run the notebooks of a study and write its report")[language],
        epilog=parameters.explained()[language],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument(
        "study", help=_("a study under data/ (such as ecsi), a folder, or a study.yml")[language]
    )
    run.add_argument(
        "--out",
        default="",
        metavar=_("DIR")[language],
        help=_("the run folder (default runs/<id>)")[language],
    )
    run.add_argument(
        "--only",
        metavar="03,05",
        help=_("only these notebooks; what they need and is not there is computed")[language],
    )
    run.add_argument("--language", default="en", choices=languages())
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar=_("NAME=VALUE")[language],
        dest="pairs",
        help=_("set a parameter in every chosen notebook that declares it; may be repeated")[
            language
        ],
    )
    run.add_argument(
        "--jobs",
        type=_count(language),
        default=2,
        metavar="N",
        help=_("notebooks at a time (default 2)")[language],
    )
    run.add_argument("--quiet", action="store_true", help=_("no progress bar")[language])
    run.add_argument(
        "--timings",
        action="store_true",
        help=_("say where the time went: each notebook's start-up, drawing and slowest cells")[
            language
        ],
    )
    run.set_defaults(command=_run)


def _add_check(commands: Commands, language: str) -> None:
    check = commands.add_parser(
        "check",
        help=_("check a study file and its data, without running anything")[language],
    )
    check.add_argument("study")
    check.add_argument("--language", default="en", choices=languages())
    check.set_defaults(command=_check)


def _add_simulate(commands: Commands, language: str) -> None:
    simulate = commands.add_parser(
        "simulate",
        help=_("draw responses from the truth a simulated study declares")[language],
    )
    simulate.add_argument("study")
    simulate.add_argument("--language", default="en", choices=languages())
    simulate.add_argument(
        "-n",
        type=_count(language),
        default=None,
        help=_("respondents before cleaning (default: as the study declares)")[language],
    )
    simulate.add_argument(
        "--seed", type=int, default=None, help=_("default: as the study declares")[language]
    )
    simulate.add_argument(
        "--out",
        default="",
        metavar=_("DIR")[language],
        help=_("where to write the files (default: beside the study file)")[language],
    )
    simulate.set_defaults(command=_simulate)


def _asked(arguments: Sequence[str]) -> str:
    """The language that a command line asks for, before it is read as a whole: help is written in it."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--language", default="en", choices=languages())
    try:
        return str(parser.parse_known_args(arguments)[0].language)
    except argparse.ArgumentError:  # told when the line is read as a whole
        return "en"


def _count(language: str) -> Callable[[str], int]:
    """What reads a whole number from 1 up, and refuses anything else in words."""

    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(
                _("'{text}' is not a whole number from 1 up", text=text)[language]
            )
        return int(text)

    return count


def _run(options: argparse.Namespace) -> int:
    from cxlib.run.failures import failures
    from cxlib.run.notebooks import choose, execute

    folder = execute(
        options.study,
        out=options.out,
        only=options.only,
        language=options.language,
        pairs=options.pairs,
        jobs=options.jobs,
        progress=not options.quiet and sys.stderr.isatty(),
    )
    chosen, report = choose(options.only), folder / "report.html"
    failed = [failure for name, failure in failures(folder).items() if name in chosen]
    written = report.is_file() and ("14_report" in chosen or failed)
    print(report if written else folder)
    if options.timings:
        from cxlib.run.timings import listed

        print(listed(folder, options.language))
    print(
        *(f"cxlib: {failure.text[options.language]}" for failure in failed),
        sep="\n",
        end="\n" if failed else "",
        file=sys.stderr,
    )
    return 1 if failed else 0


def _check(options: argparse.Namespace) -> int:
    from cxlib.responses.joins import joins
    from cxlib.responses.reading import read
    from cxlib.stages.cleaning.cleaning import clean
    from cxlib.study.schema import load

    study = load(options.study)
    cleaned = clean(read(study), study)
    linked = joins(study, cleaned.data)
    told = [
        summary(study, cleaned.screening.n_used),
        _("  analysed    {text}", text=cleaned.flow.text),
        _("  missing     {text}", text=cleaned.missing.text),
    ]
    told += [
        _("  note        {text}", text=text) for text in (*cleaned.flow.warnings, *linked.warnings)
    ]
    print(joined(*told, _("The study file is in order."), between="\n")[options.language])
    return 0


def _simulate(options: argparse.Namespace) -> int:
    from pathlib import Path

    from cxlib.simulation.simulate import write
    from cxlib.study.schema import load

    study = load(options.study)
    for path in write(
        study, Path(options.out) if options.out else study.folder, n=options.n, seed=options.seed
    ):
        print(path)
    return 0


def summary(study: Study, n: int) -> Sentence:
    """A study on one screen."""
    lines = [
        _("{study}: {title}", study=study.id, title=study.title),
        _(
            "  origin      {origin} ({source})",
            origin=_("real") if study.origin == "real" else _("simulated"),
            source=study.source,
        ),
        _(
            "  responses   {rows:,} rows, {items} items in {constructs} constructs, {columns} other columns",
            rows=n,
            items=len(study.items),
            constructs=len(study.scales),
            columns=len(study.columns),
        ),
        _("  scale       {low:g} to {high:g}", low=study.scale[0], high=study.scale[1]),
    ]
    lines += [
        _(
            "  {code:<11} {name} ({role}): {parts}",
            code=code,
            name=c.name,
            role=c.role,
            parts=list(c.of or c.items),
        )
        for code, c in study.constructs.items()
    ]
    lines += [
        _("  model       {name}: {lines}", name=name, lines=uncommented(text).replace("\n", "; "))
        for name, text in study.models.items()
    ]
    lines.append(
        _(
            "  hypotheses  {hypotheses}; claims {claims}; groups {groups}",
            hypotheses=len(study.hypotheses),
            claims=len(study.claims),
            groups=study.groups or _("none"),
        )
    )
    return joined(*lines, between="\n")


if __name__ == "__main__":
    sys.exit(main())
