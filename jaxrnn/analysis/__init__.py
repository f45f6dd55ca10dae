"""Seeing what a run did: plots."""
