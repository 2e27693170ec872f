"""The tests need of a machine what a run needs of it, and nothing else; a whole run is made once for all that read it."""

import functools

import pytest

from cxlib.run import surroundings
from cxlib.run.notebooks import execute

surroundings.writable_folders()  # before a test module imports what keeps files in the home
QUICK = {"ecsi": ["n_boot=200"], "vas": ["n_boot=100", "reps=50", "n_permutations=20"]}


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory):
    """The folder of a whole run of a study, made when it is first asked for."""

    @functools.cache
    def run(study):
        out = tmp_path_factory.mktemp("runs") / study
        return execute(study, out=str(out), pairs=QUICK[study], progress=False)

    return run


def pytest_collection_modifyitems(items):
    """What reads a whole run is slow, for somebody has to make it."""
    for item in items:
        if "whole_run" in item.fixturenames:
            item.add_marker("slow")
