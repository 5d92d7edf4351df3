"""Who is calling and how they prove it: sign-up, logins, access tokens, profiles, roles.

A request becomes a `Principal` in `authentication.py`; `guards.py` asks the policy table what it may do.
"""
