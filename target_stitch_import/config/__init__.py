"""What a user can set, where it comes from, and what is said of what cannot work.

Law: nothing is read from stdin before a setting that cannot work has been refused by its name, and
no message holds a setting's secret.
"""
