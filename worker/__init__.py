"""The processes around the domain: web, tasks, command line and their adapters."""
