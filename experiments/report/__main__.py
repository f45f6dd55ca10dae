"""`python -m experiments.report`."""

from experiments.report import main

if __name__ == "__main__":
    raise SystemExit(main())
