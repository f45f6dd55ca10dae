"""`python -m experiments.char`."""

from experiments.char import main

if __name__ == "__main__":
    raise SystemExit(main())
