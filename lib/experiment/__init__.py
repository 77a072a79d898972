"""What the scripts of all methods share: configuration, command line, runs, tests and demos."""
