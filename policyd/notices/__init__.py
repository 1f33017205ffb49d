"""Notices: what happens to an account, told to its contact, to the admin and to a program."""
