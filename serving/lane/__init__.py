"""This package is what answers: the part of an endpoint that runs in a replica of Ray Serve."""
