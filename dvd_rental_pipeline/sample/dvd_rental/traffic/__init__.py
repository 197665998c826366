"""Business events of the DVD rental stores, by the part of the business that they concern."""
