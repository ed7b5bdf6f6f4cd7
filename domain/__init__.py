"""The rules of the directory: frozen values and pure functions, standard library only."""
