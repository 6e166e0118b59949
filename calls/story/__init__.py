"""What happened in a call, told from its journal. Pure."""
