"""One program for each peer, run by the Python of an environment that has it."""
