"""Users, how they prove who they are, what they may still ask, and what operators did."""
