"""Whole provisioning cycles of identity providers, over HTTP, as their documentation has them."""
