"""What can be said to a model, and who answers.

The vocabulary (`messages`, `events`, `models`, `errors`, `tokens`) is pure and may be imported by `personas` and
`storage`; the wires turn requests into bytes and bytes into events without any I/O; the rest talks to upstreams.
"""
