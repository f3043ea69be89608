"""This package holds what is known about entities: views, joins, and the door to Feast."""
