"""The built-in page: HTML, CSS and ES modules as they stand in `static/`, served without a build step.

The page talks only to the public API and holds no rule of its own.
"""
