"""A turn from its opening to its outcome, who runs it, and which request it answers."""
