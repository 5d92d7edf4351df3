"""People and what is theirs: sign-up, logins, access tokens, profiles, roles, over HTTP.

Who is calling is known before, in `gateway.identity`.
"""
