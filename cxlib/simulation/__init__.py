"""Responses drawn from the truth that a study declares."""
