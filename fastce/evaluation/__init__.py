"""Classifiers judged by the logits in their files: what `fastce evaluate` computes."""
