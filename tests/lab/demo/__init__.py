"""``make demo``: the whole of Ringmaster with real SIP calls through a real Asterisk.

scenario    the calls that are placed, what each should become, and the routes they need
stage       sets everything up, and down again
display     the calls while they are up, and their records afterwards
verdict     whether every call has exactly the record it should have
__main__    the order of it all
"""
