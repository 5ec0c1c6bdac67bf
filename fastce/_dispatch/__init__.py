"""From checked arguments to a kernel call and back."""
