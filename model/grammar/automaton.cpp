#include "model/grammar/automaton.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"

namespace talaria::model::grammar {

namespace {

constexpr std::size_t kMaxPlaces = 500'000;
constexpr std::size_t kMaxVisited = 20'000; // of one state: alternatives, not texts

} // namespace

Automaton::Automaton(const Rules& rules) {
  Place leave;
  const u32 end = add(leave);
  // Calls name rules by number: where each begins is known when all are compiled.
  for (const Expression& body : rules.bodies) rules_.push_back(compile(body, end));
  compiled_.clear();
  measure();
  StateData first;
  close(rules_.front(), 0, first);
  if (intern(std::move(first)) == kDead)
    throw Error(Errc::usage, "the grammar has no text: it calls itself before a byte");
}

u32 Automaton::add(Place place) {
  if (places_.size() >= kMaxPlaces)
    throw Error(Errc::usage, "the grammar is too large; use smaller bounds of repetitions");
  places_.push_back(std::move(place));
  return static_cast<u32>(places_.size() - 1);
}

/// Where `expression` begins, if `next` comes behind it. Expressions share parts, e.g. what may
/// come behind one of the optional members of an object: without a memory for them there would be
/// twice as many places with every member.
u32 Automaton::compile(const Expression& expression, u32 next) {
  const std::pair<const Node*, u32> key(expression.get(), next);
  if (expression.use_count() == 1) return compile_anew(*expression, next);
  if (const auto known = compiled_.find(key); known != compiled_.end()) return known->second;
  const u32 begin = compile_anew(*expression, next);
  compiled_.emplace(key, begin);
  return begin;
}

u32 Automaton::compile_anew(const Node& node, u32 next) {
  switch (node.kind) {
  case Node::Kind::bytes:
    return add({Place::Kind::bytes, node.bytes, {next}, 0});
  case Node::Kind::sequence:
    for (auto part = node.parts.rbegin(); part != node.parts.rend(); ++part)
      next = compile(*part, next);
    return next;
  case Node::Kind::any_of: {
    Place split{Place::Kind::split, {}, {}, 0};
    for (const Expression& part : node.parts) split.next.push_back(compile(part, next));
    return add(std::move(split));
  }
  case Node::Kind::repeat:
    return compile_repeat(node, next);
  case Node::Kind::rule:
    return add({Place::Kind::call, {}, {next}, node.rule});
  }
  return next;
}

u32 Automaton::compile_repeat(const Node& node, u32 next) {
  const Expression& part = node.parts.front();
  u32 at = next;
  if (node.most == 0) {
    const u32 loop = add({Place::Kind::split, {}, {next}, 0});
    const u32 body = compile(part, loop);
    places_[loop].next.push_back(body);
    at = loop;
  }
  for (u32 i = node.least; i < node.most; ++i) {
    const u32 body = compile(part, at);
    at = add({Place::Kind::split, {}, {next, body}, 0});
  }
  for (u32 i = 0; i < node.least; ++i) at = compile(part, at);
  return at;
}

/// Shortest texts, by the rule that a way is no longer than what follows it says, until none gets
/// shorter. What comes behind a place has mostly a lower number: few passes are needed.
void Automaton::measure() {
  to_end_.assign(places_.size(), kNoEnd);
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = 0; i < places_.size(); ++i) {
      const Place& place = places_[i];
      u32 least = place.kind == Place::Kind::leave ? 0 : kNoEnd;
      for (const u32 next : place.next) least = std::min(least, to_end_[next]);
      if (place.kind == Place::Kind::bytes) least += place.bytes.any() ? 1 : kNoEnd;
      if (place.kind == Place::Kind::call) least += to_end_[rules_[place.rule]];
      least = std::min(least, kNoEnd);
      changed |= least < to_end_[i];
      to_end_[i] = least;
    }
  }
}

u32 Automaton::bytes_from(Point point) const {
  return std::min(to_end_[point.first] + below_[point.second], kNoEnd);
}

Automaton::Stack Automaton::push(u32 place, Stack below) {
  const auto [known, is_new] =
      known_stacks_.try_emplace({place, below}, static_cast<Stack>(stacks_.size()));
  if (is_new) {
    below_.push_back(bytes_from({place, below}));
    stacks_.emplace_back(place, below);
  }
  return known->second;
}

/// Adds what can be reached from a place without a byte.
void Automaton::close(u32 place, Stack stack, StateData& state) {
  visited_.clear();
  std::vector<Point> open{{place, stack}};
  while (!open.empty()) {
    const auto [at, behind] = open.back();
    open.pop_back();
    if (std::find(visited_.begin(), visited_.end(), Point(at, behind)) != visited_.end()) continue;
    visited_.emplace_back(at, behind);
    if (visited_.size() > kMaxVisited)
      throw Error(Errc::usage, "the grammar calls itself without a byte in between");
    const Place& here = places_[at];
    switch (here.kind) {
    case Place::Kind::bytes:
      state.points.emplace_back(at, behind);
      break;
    case Place::Kind::split:
      for (const u32 next : here.next) open.emplace_back(next, behind);
      break;
    case Place::Kind::call: {
      // A call at a rule's end returns to where that rule does: lists do not pile up.
      const bool last = places_[here.next[0]].kind == Place::Kind::leave;
      open.emplace_back(rules_[here.rule], last ? behind : push(here.next[0], behind));
      break;
    }
    case Place::Kind::leave:
      if (behind == 0)
        state.accepts = true;
      else
        open.emplace_back(stacks_[behind]);
      break;
    }
  }
}

Automaton::State Automaton::intern(StateData state) {
  std::sort(state.points.begin(), state.points.end());
  state.points.erase(std::unique(state.points.begin(), state.points.end()), state.points.end());
  if (state.points.empty() && !state.accepts) return kDead;
  if (state.accepts) state.to_end = 0;
  for (const Point& point : state.points) state.to_end = std::min(state.to_end, bytes_from(point));
  const auto [known, is_new] =
      known_states_.try_emplace({state.accepts, state.points}, static_cast<State>(states_.size()));
  if (!is_new) return known->second;
  if (states_.size() >= kMaxStates)
    throw Error(Errc::usage, "the grammar has too many states; use smaller bounds of repetitions");
  states_.push_back(std::move(state));
  return known->second;
}

std::vector<ByteSet> Automaton::byte_sets(State state) const {
  std::vector<ByteSet> out;
  for (const auto& [place, behind] : states_[static_cast<std::size_t>(state)].points)
    if (std::find(out.begin(), out.end(), places_[place].bytes) == out.end())
      out.push_back(places_[place].bytes);
  return out;
}

Automaton::State Automaton::next(State from, u8 byte) {
  const auto index = static_cast<std::size_t>(from);
  if (states_[index].next.empty()) states_[index].next.assign(256, kUnknown);
  if (const State known = states_[index].next[byte]; known != kUnknown) return known;
  StateData reached;
  const auto points = states_[index].points;
  for (const auto& [place, behind] : points)
    if (places_[place].bytes[byte]) close(places_[place].next[0], behind, reached);
  const State to = intern(std::move(reached));
  states_[index].next[byte] = to;
  return to;
}

} // namespace talaria::model::grammar
