"""Who answered, and what did they say?"""
