"""What every kind of conversation has over HTTP."""
