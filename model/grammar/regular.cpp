#include "model/grammar/regular.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "core/error.hpp"
#include "model/grammar/automaton.hpp"

namespace talaria::model::grammar {

namespace {

/// Steps through several automata at once.
class Product {
public:
  Product(const std::vector<Rules>& all_of, const std::vector<Rules>& none_of)
      : needed_(all_of.size()) {
    for (const Rules& each : all_of) parts_.emplace_back(each);
    for (const Rules& each : none_of) parts_.emplace_back(each);
    State first;
    for (const Automaton& part : parts_) first.at.push_back(part.start());
    add(std::move(first));
    for (std::size_t i = 0; i < states_.size(); ++i) explore(i);
  }

  std::optional<Expression> write(Rules& rules) const {
    const std::vector<bool> ends = with_an_end();
    if (!ends[0]) return std::nullopt;
    std::vector<std::size_t> number(states_.size());
    std::size_t next = rules.bodies.size();
    for (std::size_t i = 0; i < states_.size(); ++i)
      if (ends[i]) number[i] = next++;
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (!ends[i]) continue;
      std::vector<Expression> forms;
      if (states_[i].accepts) forms.push_back(sequence({}));
      for (const auto& [to, bytes] : states_[i].moves)
        if (ends[to]) forms.push_back(sequence({one_of(bytes), rule(number[to])}));
      rules.bodies.push_back(any_of(std::move(forms)));
    }
    return rule(number[0]);
  }

private:
  struct State {
    std::vector<Automaton::State> at; ///< of each part
    bool accepts = false;
    std::map<std::size_t, ByteSet> moves;
  };

  std::size_t add(State state) {
    const auto [known, is_new] = known_.try_emplace(state.at, states_.size());
    if (!is_new) return known->second;
    if (states_.size() >= kMaxRegularStates)
      throw Error(Errc::usage, "the schema's bounds, patterns and multiples together are too "
                               "large for an automaton; use smaller ones");
    state.accepts = true;
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      const bool in = state.at[part] != Automaton::kDead && parts_[part].accepts(state.at[part]);
      state.accepts &= in == (part < needed_);
    }
    states_.push_back(std::move(state));
    return known->second;
  }

  void explore(std::size_t from) {
    const std::vector<Automaton::State> at = states_[from].at;
    std::map<std::size_t, ByteSet> moves;
    for (const ByteSet& bytes : classes(at)) {
      const auto byte = static_cast<u8>(bytes._Find_first());
      State to;
      bool alive = true;
      for (std::size_t part = 0; part < parts_.size() && alive; ++part) {
        to.at.push_back(at[part] == Automaton::kDead ? Automaton::kDead
                                                     : parts_[part].next(at[part], byte));
        alive = part >= needed_ || to.at.back() != Automaton::kDead;
      }
      if (alive) moves[add(std::move(to))] |= bytes;
    }
    states_[from].moves = std::move(moves);
  }

  /// Bytes that lead to the same states, together.
  std::vector<ByteSet> classes(const std::vector<Automaton::State>& at) const {
    std::vector<ByteSet> out{ByteSet().set()};
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      if (at[part] == Automaton::kDead) continue;
      for (const ByteSet& set : parts_[part].byte_sets(at[part]))
        for (std::size_t i = out.size(); i-- > 0;) {
          const ByteSet inside = out[i] & set;
          if (inside.none() || inside == out[i]) continue;
          out[i] &= ~set;
          out.push_back(inside);
        }
    }
    return out;
  }

  /// Those from which a text can be completed.
  std::vector<bool> with_an_end() const {
    std::vector<std::vector<std::size_t>> from(states_.size());
    std::vector<std::size_t> open;
    std::vector<bool> ends(states_.size());
    for (std::size_t i = 0; i < states_.size(); ++i) {
      for (const auto& [to, bytes] : states_[i].moves) from[to].push_back(i);
      if (states_[i].accepts) open.push_back(i);
      ends[i] = states_[i].accepts;
    }
    while (!open.empty()) {
      const std::size_t at = open.back();
      open.pop_back();
      for (const std::size_t before : from[at])
        if (!ends[before]) {
          ends[before] = true;
          open.push_back(before);
        }
    }
    return ends;
  }

  std::size_t needed_;
  std::vector<Automaton> parts_;
  std::vector<State> states_;
  std::map<std::vector<Automaton::State>, std::size_t> known_;
};

} // namespace

std::optional<Expression> regular(Rules& rules, const std::vector<Rules>& all_of,
                                  const std::vector<Rules>& none_of) {
  return Product(all_of, none_of).write(rules);
}

} // namespace talaria::model::grammar
