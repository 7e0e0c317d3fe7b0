"""Studies, from files to files: configuration, the synthetic country, runs, and the verbs behind the commands."""
