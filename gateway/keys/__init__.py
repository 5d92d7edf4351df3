"""The operator's keys: the master key, provider keys sealed under it, and those that are in use."""
