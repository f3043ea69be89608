"""This package holds what runs: flows, and the doors to Prefect and MLflow."""
