"""What a call does next. Pure: begin with table.py, which is the whole machine."""
