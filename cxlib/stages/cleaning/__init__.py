"""Notebook 01: from raw responses to the analysis frame, and what is missing in it."""
