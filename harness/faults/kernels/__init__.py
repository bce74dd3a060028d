"""Faults planted in copies of the CUDA kernels: does the emulator find each, and would tests of values find it?"""
