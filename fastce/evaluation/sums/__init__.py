"""What an evaluation adds up: exact sums, counts and sets that do not depend on any order."""
