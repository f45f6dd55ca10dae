"""What the online styles share: the estimator, and the influence of params on the carry that it
threads. Each style (`rtrl`, `snap`, `rflo`, `eprop`, `uoro`) is a file beside this folder."""
