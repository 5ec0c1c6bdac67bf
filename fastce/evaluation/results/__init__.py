"""What an evaluation has found: means, errors, calibration and tables, from its exact sums."""
