#pragma once

namespace talaria::tests {

/// The attack that finds the bug this program is linked with; null without one.
///
/// Bugs are seeded where programs are linked: bugs/*.cpp take the place of one source file of
/// remo/, which they include with one function renamed and wrapped. No program but these tests can
/// have them, and the sources know nothing of it.
extern const char* const kCaughtBy;

} // namespace talaria::tests
