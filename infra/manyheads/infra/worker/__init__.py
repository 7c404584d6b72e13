"""What both worker processes share: their settings, their command line, and the parts that they open at the start."""
