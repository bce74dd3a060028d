"""The precision audit: is what is computed inside as precise as promised?"""
