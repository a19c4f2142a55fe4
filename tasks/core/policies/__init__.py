"""How a policy document is read, checked and compared."""
