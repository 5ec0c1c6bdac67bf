"""What arguments are accepted, and every message about one that is not."""
