"""The `rosterd` command line: one file per noun."""
