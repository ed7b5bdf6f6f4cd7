"""The life of a directory, told from the outside: `python -m tests.story` prints its timeline."""
