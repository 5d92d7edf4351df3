"""A turn, from what a person asked to the saved reply; owned by the gateway, not by who listens."""
