"""`python -m experiments.memorization`."""

from experiments.memorization import main

if __name__ == "__main__":
    raise SystemExit(main())
