"""What is kept in Redis, and read from the database, while calls are up; each module's head
documents the keys that it alone writes."""
