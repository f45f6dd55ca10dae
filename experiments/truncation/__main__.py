"""`python -m experiments.truncation`."""

from experiments.truncation import main

if __name__ == "__main__":
    raise SystemExit(main())
