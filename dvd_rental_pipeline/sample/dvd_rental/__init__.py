"""The DVD rental database: schema, generator of sample data, simulator of business activity.

Belongs here: everything particular to this sample database. Does not belong here: the pipeline that replicates
it.
"""
