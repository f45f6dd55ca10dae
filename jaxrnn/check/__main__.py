"""`python -m jaxrnn.check`."""

from jaxrnn.check import main

if __name__ == "__main__":
    raise SystemExit(main())
