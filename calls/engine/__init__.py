"""What runs in a worker: turns with calls, the loop they run on, and the way to and from it."""
