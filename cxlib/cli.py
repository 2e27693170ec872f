"""The command line: `cxlib run`, `cxlib check`, `cxlib simulate`."""

from __future__ import annotations

import argparse
import signal
import sys

from cxlib import surroundings
from cxlib.study import Study, StudyError


def main(arguments: list[str] | None = None) -> int:
    """Run a command; a user's mistake ends in a message and exit code 2, a failed run in 1, Ctrl-C in 130, `kill` in 143."""
    surroundings.open_streams()
    options = _parser().parse_args(arguments)
    try:
        surroundings.writable_folders()
        _stop_when_told()
        return options.command(options)
    except KeyboardInterrupt as stopped:
        print("Interrupted. Nothing half-finished was left; run the command again to start clean.", file=sys.stderr)
        return 128 + (stopped.args[0] if stopped.args else signal.SIGINT)
    except (StudyError, FileNotFoundError, ValueError) as error:
        print(f"cxlib: {error}", file=sys.stderr)
        return 2
    except (RuntimeError, OSError) as error:
        print(f"cxlib: {error}", file=sys.stderr)
        return 1


def _stop_when_told() -> None:
    """Let `kill` and a closed terminal end a command as Ctrl-C does; a signal the parent had ignored stays so (a job in the background)."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt(number)

    for name in ("SIGTERM", "SIGHUP"):
        told = getattr(signal, name, None)  # Windows has no SIGHUP
        if told and signal.getsignal(told) == signal.SIG_DFL:
            signal.signal(told, stop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cxlib", description="From a customer-experience survey to a defensible answer.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the notebooks of a study and write its report")
    run.add_argument("study", help="a study under data/ (such as ecsi), a folder, or a study.yml")
    run.add_argument("--out", default="", metavar="DIR", help="the run folder (default runs/<id>)")
    run.add_argument("--only", metavar="03,05", help="only these notebooks; what they need and is not there is computed")
    run.add_argument("--language", default="en", choices=["en", "zh"])
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="pairs",
                     help="set a parameter in every chosen notebook that declares it; may be repeated")
    run.add_argument("--jobs", type=_count, default=2, metavar="N", help="notebooks at a time (default 2)")
    run.add_argument("--quiet", action="store_true", help="no progress bar")
    run.set_defaults(command=_run)
    check = commands.add_parser("check", help="check a study file and its data, without running anything")
    check.add_argument("study")
    check.set_defaults(command=_check)
    simulate = commands.add_parser("simulate", help="draw responses from the truth a simulated study declares")
    simulate.add_argument("study")
    simulate.add_argument("-n", type=_count, default=None, help="respondents before cleaning (default: as the study declares)")
    simulate.add_argument("--seed", type=int, default=None, help="default: as the study declares")
    simulate.add_argument("--out", default="", metavar="DIR", help="where to write the files (default: beside the study file)")
    simulate.set_defaults(command=_simulate)
    return parser


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 up")
    return value


def _run(options: argparse.Namespace) -> int:
    from cxlib.notebooks import choose, execute

    folder = execute(options.study, out=options.out, only=options.only, language=options.language, pairs=options.pairs,
                     jobs=options.jobs, progress=not options.quiet and sys.stderr.isatty())
    report = folder / "report.html"
    written = report.is_file() and "14_report" in choose(options.only)
    print(report if written else folder)
    return 0


def _check(options: argparse.Namespace) -> int:
    from cxlib.cleaning import clean
    from cxlib.reading import joins, read
    from cxlib.study import load

    study = load(options.study)
    cleaned = clean(read(study), study)
    joined = joins(study, cleaned.data)
    print(summary(study, cleaned.screening.n_used))
    told = [("analysed", cleaned.flow.text), ("missing", cleaned.missing.text)]
    told += [("note", text) for text in (*cleaned.flow.warnings, *joined.warnings)]
    print(*(f"  {what:<12}{text['en']}" for what, text in told), "The study file is in order.", sep="\n")
    return 0


def _simulate(options: argparse.Namespace) -> int:
    from pathlib import Path

    from cxlib.simulate import write
    from cxlib.study import load

    study = load(options.study)
    for path in write(study, Path(options.out) if options.out else study.folder, n=options.n, seed=options.seed):
        print(path)
    return 0


def summary(study: Study, n: int) -> str:
    """A study on one screen."""
    lines = [
        f"{study.id}: {study.title.en} / {study.title.zh}",
        f"  origin      {study.origin} ({study.source})",
        f"  responses   {n:,} rows, {len(study.items)} items in {len(study.scales)} constructs, {len(study.columns)} other columns",
        f"  scale       {study.scale[0]:g} to {study.scale[1]:g}",
    ]
    lines += [
        f"  {code:<11} {c.name.en} / {c.name.zh} ({c.role}): {', '.join(c.of or c.items)}"
        for code, c in study.constructs.items()
    ]
    lines += [
        f"  model       {name}: "
        + "; ".join(line for line in text.splitlines() if line.strip() and not line.startswith("#"))
        for name, text in study.models.items()
    ]
    lines.append(
        f"  hypotheses  {len(study.hypotheses)}; claims {len(study.claims)}; groups {', '.join(study.groups) or 'none'}"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
