"""Who is calling and how they prove it: a request becomes a `Principal`, or is refused."""
