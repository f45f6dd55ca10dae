"""`python -m experiments.inspect`."""

from experiments.inspect import main
from jaxrnn.starting import leave_at_once

if __name__ == "__main__":
    leave_at_once()
    raise SystemExit(main())
