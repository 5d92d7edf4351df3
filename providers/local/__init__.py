"""A real model on this machine, and the provider that asks it."""
