"""Loss and accuracy of the logits in files: what `fastce evaluate` computes."""
