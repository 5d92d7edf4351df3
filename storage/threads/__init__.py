"""Threads: conversations between people."""
