"""Does service shape perception, and perception satisfaction and loyalty?"""
