"""Who may do what, over which wire: the HTTP side, and the assembly of everything."""
