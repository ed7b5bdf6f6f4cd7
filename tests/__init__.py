"""The tests, and what they stand on: a package, or an installed one of this name comes first."""
