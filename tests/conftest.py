"""The tests need of a machine what a run needs of it, and nothing else."""

from cxlib.run import surroundings

surroundings.writable_folders()  # before a test module imports what keeps files in the home
