"""Threads between people."""
