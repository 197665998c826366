"""The simulated business events, one module per group of tables.

An event is a function that changes the data within the transaction that the simulator started.
"""
