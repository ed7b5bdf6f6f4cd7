"""One adapter a source: how an identity provider proves itself and what its events ask for."""
