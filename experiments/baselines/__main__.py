"""`python -m experiments.baselines`."""

from experiments.baselines import main

if __name__ == "__main__":
    raise SystemExit(main())
