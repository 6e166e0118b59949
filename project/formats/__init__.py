"""How Django itself writes dates and times: as all other times of the admin."""
