"""Chats with a persona."""
