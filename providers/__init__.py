"""What can be said to a model, and who answers.

The vocabulary (`messages`, `events`, `models`, `errors`, `tokens`) is pure and may be imported by `personas` and
`storage`. `wires` turn requests into bytes and bytes into events without any I/O, `upstream` asks over HTTP, `local`
keeps a model on this machine, `scripted` plays an upstream for tests.
"""
