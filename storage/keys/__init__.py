"""Provider keys, sealed."""
