#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "audit/transcript.hpp"
#include "core/integers.hpp"

namespace talaria::audit {

/// What one attack on one recording came to; a cell of the table.
struct AttackResult {
  enum class Measure {
    recovery,       ///< tokens guessed: rows, top1, top10 and their chances count
    distinguishing, ///< a statistic that would be noise if nothing leaked: p_value counts
    leak,           ///< a fraction of something else that was read off (lengths): top1 over rows
  };
  std::string attack; ///< AttackInfo::name
  std::string scheme; ///< CloudView::scheme
  std::string where;  ///< "layers.0.qkv"; what was looked at
  Measure measure = Measure::recovery;
  std::size_t rows = 0;  ///< trials
  std::size_t top1 = 0;  ///< of them right at the first guess
  std::size_t top10 = 0; ///< of them right among ten guesses
  double chance1 = 0;    ///< probability of a trial to be right if the guess says nothing
  double chance10 = 0;
  double p_value = 1; ///< of what was seen, if nothing leaked; already corrected within the cell
  bool applicable = true; ///< false: nothing here to attack (`remark` says why)
  /// False for attacks on something else than the scheme as configured (toy parameters) and for
  /// leaks that are documented (traffic): shown, but no reason to fail.
  bool judges = true;
  std::string remark; ///< one clause for the table, may be empty
};

/// A column of the table.
struct AttackInfo {
  std::string name;        ///< "nearest", as in --attacks
  std::string title;       ///< "Nearest neighbour"
  std::string source;      ///< arXiv number or the literature's name
  std::string explanation; ///< two sentences for the page
};

/// How much work an attack may do.
struct Effort {
  std::size_t rows = 20'000;    ///< rows attacked at most by attacks that take milliseconds a row
  std::size_t slow_rows = 256;  ///< by those that take a tenth of a second
  std::vector<u32> layers = {}; ///< deeper layers worth attacking, ascending
};

/// Guesses of one attack: for trial i of row rows[i] of matrix `where`, up to ten tokens, best
/// first.
struct RowGuesses {
  static constexpr std::size_t kRanks = 10;
  using Ranked = std::array<u32, kRanks>; ///< kNoToken where there is no guess
  std::string where;
  std::vector<std::size_t> rows;
  std::vector<Ranked> ranked;
  std::string remark;
};

/// Guesses about which tokens a request holds, not where: best first, ten times as many as the
/// longest of the requests has rows (or the whole vocabulary).
struct SetGuesses {
  std::string where;
  struct Request {
    std::size_t first_row = 0;
    std::size_t rows = 0;
    std::vector<u32> ranked;
  };
  std::vector<Request> requests;
  std::string remark;
};

/// Smallest p-value of `tests` tests, and what they were.
struct TestOutcome {
  std::string where;
  double smallest_p = 1;
  std::size_t tests = 1;
  std::string remark;
};

} // namespace talaria::audit
