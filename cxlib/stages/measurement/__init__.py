"""Do the questions measure what they were written for?"""
