"""Runs: directories that suffice to repeat, to resume and to sample from a training."""

from jaxrnn.runs.load import load

__all__ = ["load"]
