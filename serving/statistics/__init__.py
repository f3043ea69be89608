"""This package holds the statistics of rulings: pure functions of arrays, each with its paper."""
