"""Sweeps: an experiment at many values of its flags, each an ordinary run below one directory;
those of one shape are trained side by side."""
