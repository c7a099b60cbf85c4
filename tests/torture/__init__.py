"""Attacks on the warehouse: the long forms, and what they share with the short forms in the suite.

`make torture` runs every attack at full length, prints a table of figures and exits with 1 when one did not hold.
"""
