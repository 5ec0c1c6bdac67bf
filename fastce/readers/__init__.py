"""Files as arrays: one module a format. Nothing here imports fastce."""
