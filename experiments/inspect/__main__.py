"""`python -m experiments.inspect`."""

import signal

from experiments.inspect import main

if __name__ == "__main__":
    # there is nothing to save, and an exception in the middle of XLA's compiler may crash Python
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise SystemExit(main())
