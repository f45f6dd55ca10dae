"""`python -m experiments.word`."""

from experiments.word import main

if __name__ == "__main__":
    raise SystemExit(main())
