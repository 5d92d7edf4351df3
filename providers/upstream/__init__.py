"""Asking over HTTP: one transport, a pool of keys, clocks, and the one owner of retries."""
