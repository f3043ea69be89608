"""This package records flow runs in MLflow; `flows.tracking` is its face.

records   what a run, a model, a dataset and an evaluation say in MLflow's terms; pure
notes     the text on a run's page; pure
plots     curves, importance and slices as PNG
stage     what one moment adds to one MLflow run
sending   a stage goes to the server
spool     stages wait on disk while the server is away
sweep     runs that a killed process left open are closed
"""
