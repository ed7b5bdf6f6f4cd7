"""HTTP: identity providers' hooks, members' pages, the operators' page, machines' probes."""
