#pragma once

#include <array>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "model/grammar/expression.hpp"

namespace talaria::model::grammar {

/// Follows texts of a grammar byte by byte. A pushdown automaton whose states (sets of places with
/// stacks of rules to return to) are made when they are met and kept, so that a byte is a look-up.
/// Not thread-safe.
class Automaton {
public:
  using State = i32;
  static constexpr State kDead = -1; ///< no text of the grammar goes on like this

  /// @throws Error{usage} for a grammar with too many places, or one whose rules call themselves
  /// before a byte
  explicit Automaton(const Rules& rules);

  State start() const noexcept { return 0; }
  /// @throws Error{usage} for more than kMaxStates
  State next(State state, u8 byte);
  /// The text so far is one of the grammar.
  bool accepts(State state) const { return states_[static_cast<std::size_t>(state)].accepts; }
  /// The fewest bytes that complete the text; kNoEnd if none do.
  u32 bytes_to_end(State state) const { return states_[static_cast<std::size_t>(state)].to_end; }
  static constexpr u32 kNoEnd = 1U << 30;
  /// Sets of bytes: two that stand in the same ones lead to the same next state.
  std::vector<ByteSet> byte_sets(State state) const;
  std::size_t states() const noexcept { return states_.size(); }

  static constexpr std::size_t kMaxStates = 100'000;

private:
  struct Place {
    enum class Kind : u8 { bytes, split, call, leave };
    Kind kind = Kind::leave;
    ByteSet bytes{};
    std::vector<u32> next{}; ///< one, but for split and leave
    std::size_t rule = 0;
  };
  using Stack = u32;                   ///< 0: empty
  using Point = std::pair<u32, Stack>; ///< a place that takes bytes, and what comes behind
  struct StateData {
    std::vector<Point> points; ///< sorted
    bool accepts = false;
    u32 to_end = kNoEnd;
    std::vector<State> next; ///< [256] once one was asked for; kUnknown where it was not
  };
  static constexpr State kUnknown = -2;

  u32 add(Place place);
  u32 compile(const Expression& expression, u32 next);
  u32 compile_anew(const Node& node, u32 next);
  u32 compile_repeat(const Node& node, u32 next);
  void measure();
  u32 bytes_from(Point point) const;
  Stack push(u32 place, Stack below);
  void close(u32 place, Stack stack, StateData& state);
  State intern(StateData state);

  std::vector<Place> places_;
  /// Of each part that stands in several others, and what comes behind it: where it begins.
  std::map<std::pair<const Node*, u32>, u32> compiled_;
  std::vector<u32> rules_;  ///< where each begins
  std::vector<u32> to_end_; ///< the fewest bytes from each place to the end of its rule
  std::vector<std::pair<u32, Stack>> stacks_{{0, 0}};
  std::vector<u32> below_{0}; ///< the fewest bytes that each stack still needs
  std::map<std::pair<u32, Stack>, Stack> known_stacks_;
  std::vector<StateData> states_;
  std::map<std::pair<bool, std::vector<Point>>, State> known_states_;
  std::vector<Point> visited_; ///< while a state is closed
};

} // namespace talaria::model::grammar
