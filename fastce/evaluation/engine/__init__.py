"""From logits and labels, in files or in memory, to an evaluation: one pass over the logits."""
