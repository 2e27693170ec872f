"""Is it the same scale, and the same story, in every group?"""
