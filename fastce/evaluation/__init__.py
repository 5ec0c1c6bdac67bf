"""The engine of ``fastce evaluate``."""
