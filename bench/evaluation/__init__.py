"""Evaluation beside other libraries: ``python -m bench.evaluation``."""
