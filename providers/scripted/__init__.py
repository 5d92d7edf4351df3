"""A scripted upstream: a model provider over real HTTP that says, and breaks, exactly what a test tells it to.

`script` says what to play, `faults` has the ways to fail by name, `server` plays them, `plugin` is the pytest fixture.
"""
