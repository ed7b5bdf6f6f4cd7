"""Celery tasks that bear the names of the work; each is a thin call of one use case."""
