// Compiled to see whether the compiler can make a shared library.
extern "C" int emulator_probe() { return 0; }
