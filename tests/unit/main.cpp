// The unit tests' program. Its main is written out: the precompiled header has seen doctest before
// this file could ask for doctest's own.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

int main(int argc, char** argv) { return doctest::Context{argc, argv}.run(); }
