"""Which limits count a call, and how trunks are judged. Pure; the counters are in calls/store."""
