"""The formats that models speak, without any I/O: requests into bytes, bytes into events."""
