"""Runs the experiment: `python -m experiments.battery`."""

from experiments.battery import main

if __name__ == "__main__":
    raise SystemExit(main())
