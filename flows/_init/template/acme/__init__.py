"""This package holds our flows, operators and feature views."""
