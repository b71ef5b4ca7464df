// Masks as they are made.
#include "tests/audit/seeded_bug.hpp"

const char* const talaria::tests::kCaughtBy = nullptr;
