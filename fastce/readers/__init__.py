"""Files as arrays: one module a format.

Nothing here imports the rest of fastce: only NumPy, and what a format needs.
"""
