"""Runs: directories that suffice to repeat, to resume and to sample from a training."""

from jaxrnn.runs.load import load, starting_text

__all__ = ["load", "starting_text"]
