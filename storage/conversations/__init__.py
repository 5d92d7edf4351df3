"""What every kind of conversation shares: members, messages, branches, and who may see them."""
