"""One file an experiment; `python -m experiments` lists them."""
