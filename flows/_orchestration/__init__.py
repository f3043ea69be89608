"""This package is the inside of the door to Prefect: task runs, questions, and lost runs."""
