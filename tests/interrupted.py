"""The command with a handler of its own for Ctrl-C: whoever runs the tests from a job in the background has SIGINT ignored."""

import sys

CODE = "import signal, sys; signal.signal(signal.SIGINT, signal.{}); from cxlib.run.cli import main; sys.exit(main(sys.argv[1:]))"


def with_sigint(handler, *arguments):
    """`cxlib` with these arguments, as a command; handler is default_int_handler or SIG_IGN."""
    return [sys.executable, "-c", CODE.format(handler), *map(str, arguments)]
