"""What Headrace costs and how right it is, as numbers with goals; README.md says how."""
