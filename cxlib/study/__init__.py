"""The study file: what was asked, of whom, and what is claimed about it."""
