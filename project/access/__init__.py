"""Who gets into the admin: addresses, locks, second factors and roles."""
