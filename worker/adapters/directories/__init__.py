"""Clients of identity providers' own directories: `domain.directories.Directory`, one file each."""
