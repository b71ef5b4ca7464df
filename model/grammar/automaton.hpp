#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <unordered_set>
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
  /// @throws Error{usage} for more than kMaxStates, or states that take too much memory together
  State next(State state, u8 byte);
  /// The text so far is one of the grammar.
  bool accepts(State state) const { return states_[static_cast<std::size_t>(state)].accepts; }
  /// The fewest bytes that complete the text; kNoEnd if none do.
  u32 bytes_to_end(State state) const { return states_[static_cast<std::size_t>(state)].to_end; }
  static constexpr u32 kNoEnd = 1U << 30;
  /// Sets of bytes: two that stand in the same ones lead to the same next state.
  std::vector<ByteSet> byte_sets(State state) const;
  std::size_t states() const noexcept { return states_.size(); }
  /// Parts that the grammar was compiled to.
  std::size_t places() const noexcept { return places_.size(); }

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
  /// What a state has been closed over. Mostly a few points, among which a search is the cheapest.
  class Visited {
  public:
    void clear();
    /// False if it is there. @throws Error{usage} for more than a state may have
    bool add(Point point);
    std::size_t size() const noexcept { return std::max(few_.size(), many_.size()); }

  private:
    std::vector<Point> few_;
    std::unordered_set<u64> many_; ///< the same ones, once they are not few
  };

  u32 add(Place place);
  /// An expression of which some parts are compiled.
  struct Compiling {
    const Node* node;
    u32 next; ///< comes behind it
    u32 at;   ///< comes behind the part that is compiled next; at last, where all of it begins
    bool is_shared;
    std::size_t turn = 0;    ///< parts that were asked for
    std::vector<u32> ways{}; ///< of any_of: where its parts begin
  };
  u32 compile(const Expression& expression, u32 next);
  const Expression* next_part(Compiling& here, u32 begin);
  const Expression* next_copy(Compiling& here, u32 begin);
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
  std::size_t points_ = 0; ///< of all states
  std::size_t visits_ = 0; ///< while they were found
  Visited visited_;        ///< while a state is closed
};

} // namespace talaria::model::grammar
