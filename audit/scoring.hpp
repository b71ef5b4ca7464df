#pragma once

#include <span>

#include "audit/attacks.hpp"
#include "audit/transcript.hpp"

namespace talaria::audit {

/// How often guesses were right, and how often they would have been had they been dealt to the rows
/// in another order: that, not 1 / vocabulary, is what saying nothing about a row earns, since text
/// is uneven and attacks have favourites. Rows without a true token do not count.
AttackResult score(const RowGuesses& guesses, const Truth& truth);

/// The same for guesses about whole requests. A trial is a distinct token of a request; top1 counts
/// those among as many guesses as the request has rows, top10 among ten times as many. Chance: the
/// sets of all requests dealt in another order.
AttackResult score(const SetGuesses& guesses, const Truth& truth);

AttackResult score(const TestOutcome& outcome);

/// Any finding of `attack` on `scheme`.
AttackResult score(const Finding& finding, const Truth& truth, const std::string& attack,
                   const std::string& scheme);

/// A cell is an alarm if its p-value is below this: fewer than one run in ten thousand alarms
/// without a leak, however many cells it has (Bonferroni).
double alarm_level(std::size_t cells);
inline constexpr double kFalseAlarmsPerRun = 1e-4;

/// Judging cells of `results` below alarm_level.
std::vector<const AttackResult*> alarms(std::span<const AttackResult> results);

} // namespace talaria::audit
