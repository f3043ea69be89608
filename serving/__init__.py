"""This package is what answers: the registry of models that may answer, and how they get there."""
