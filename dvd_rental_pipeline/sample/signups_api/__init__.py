"""A local server of the API of new users, with the parameters, limits and faults of the real one.

Belongs here: the users, the server, its faults. Does not belong here: what a client makes of the answers.
"""
