"""This is a package by name, because a library that is installed brings another `tests`."""
