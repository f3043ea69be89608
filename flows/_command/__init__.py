"""This package is the command line: one module a command, registered in `main`."""
