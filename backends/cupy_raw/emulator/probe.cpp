// Whether the compiler makes libraries at all.
extern "C" int emulator_probe() { return 0; }
