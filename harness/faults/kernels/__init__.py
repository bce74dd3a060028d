"""Faults that are planted in copies of the kernels: does the emulator find each, and would value tests have?"""
