"""Sample sales: monthly CSV files of order lines, as the systems of several regions would export them."""
