#include "model/grammar/automaton.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"

namespace talaria::model::grammar {

namespace {

constexpr std::size_t kMaxPlaces = 500'000;
constexpr std::size_t kMaxVisited = 60'000; // of one state: alternatives, not texts
constexpr std::size_t kFewVisited = 64;
constexpr std::size_t kMaxVisits = 100'000'000;   // of all bytes of all states: a few seconds
constexpr std::size_t kMaxPoints = 4'000'000;     // of all states: 64 MB
constexpr std::size_t kMaxMeasured = 100'000'000; // places times passes: less than a second

} // namespace

Automaton::Automaton(const Rules& rules) {
  Place leave;
  const u32 end = add(leave);
  // Calls name rules by number: where each begins is known when all are compiled.
  for (const Expression& body : rules.bodies) rules_.push_back(compile(body, end));
  compiled_.clear();
  measure();
  StateData first;
  visited_.clear();
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
/// twice as many places with every member. Without recursion, because clients choose how deep they
/// are.
u32 Automaton::compile(const Expression& expression, u32 next) {
  std::vector<Compiling> open;
  u32 begin = 0; // of the part that was compiled last
  const auto enter = [&](const Expression& part, u32 behind) {
    const bool is_shared = part.use_count() != 1;
    const auto known = is_shared ? compiled_.find({part.get(), behind}) : compiled_.end();
    if (known != compiled_.end())
      begin = known->second;
    else
      open.push_back({part.get(), behind, behind, is_shared});
  };
  enter(expression, next);
  while (!open.empty()) {
    Compiling& here = open.back();
    if (const Expression* const part = next_part(here, begin)) {
      enter(*part, here.at);
      continue;
    }
    begin = here.at;
    if (here.is_shared) compiled_.emplace(std::pair(here.node, here.next), begin);
    open.pop_back();
  }
  return begin;
}

/// What has to be compiled next, with `here.at` behind it; null if `here.at` is where it begins.
/// @param begin  of the part that was asked for before
const Expression* Automaton::next_part(Compiling& here, u32 begin) {
  const Node& node = *here.node;
  switch (node.kind) {
  case Node::Kind::bytes:
    here.at = add({Place::Kind::bytes, node.bytes, {here.next}, 0});
    return nullptr;
  case Node::Kind::rule:
    here.at = add({Place::Kind::call, {}, {here.next}, node.rule});
    return nullptr;
  case Node::Kind::sequence:
    if (here.turn > 0) here.at = begin;
    return here.turn < node.parts.size() ? &node.parts[node.parts.size() - ++here.turn] : nullptr;
  case Node::Kind::any_of:
    if (here.turn > 0) here.ways.push_back(begin);
    if (here.turn < node.parts.size()) return &node.parts[here.turn++];
    here.at = add({Place::Kind::split, {}, std::move(here.ways), 0});
    return nullptr;
  case Node::Kind::repeat:
    return next_copy(here, begin);
  }
  return nullptr;
}

/// Of a repetition: one copy that leads back to itself if there is no bound, then those that may be
/// there, then those that have to be, which come first in a text.
const Expression* Automaton::next_copy(Compiling& here, u32 begin) {
  const Node& node = *here.node;
  const std::size_t loops = node.most == 0 ? 1 : 0;
  const std::size_t loose = loops + (node.most > node.least ? node.most - node.least : 0);
  if (here.turn == 0 && loops == 1)
    here.at = add({Place::Kind::split, {}, {here.next}, 0});
  else if (here.turn > 0 && here.turn <= loops)
    places_[here.at].next.push_back(begin);
  else if (here.turn > 0)
    here.at = here.turn <= loose ? add({Place::Kind::split, {}, {here.next, begin}, 0}) : begin;
  if (here.turn == loose + node.least) return nullptr;
  ++here.turn;
  return &node.parts.front();
}

/// Shortest texts, by the rule that a way is no longer than what follows it says, until none gets
/// shorter. What comes behind a place has mostly a lower number: few passes are needed.
void Automaton::measure() {
  to_end_.assign(places_.size(), kNoEnd);
  std::size_t measured = 0;
  for (bool changed = true; changed;) {
    changed = false;
    measured += places_.size();
    if (measured > kMaxMeasured)
      throw Error(Errc::usage, "the grammar is too large for rules that call each other so deeply");
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

void Automaton::Visited::clear() {
  few_.clear();
  if (!many_.empty()) std::unordered_set<u64>().swap(many_); // clear() would keep a large table
}

bool Automaton::Visited::add(Point point) {
  const auto packed = [](Point p) { return u64{p.first} << 32 | p.second; };
  if (few_.size() < kFewVisited) {
    if (std::find(few_.begin(), few_.end(), point) != few_.end()) return false;
    few_.push_back(point);
    if (few_.size() == kFewVisited)
      for (const Point& each : few_) many_.insert(packed(each));
    return true;
  }
  if (!many_.insert(packed(point)).second) return false;
  if (many_.size() > kMaxVisited)
    throw Error(Errc::usage, "the grammar calls itself without a byte in between, or has too many "
                             "alternatives in one place");
  return true;
}

/// Adds what can be reached from a place without a byte, unless the state has been there: a
/// client's thousand alternatives that end in one place are one way on, not a thousand.
void Automaton::close(u32 place, Stack stack, StateData& state) {
  std::vector<Point> open{{place, stack}};
  while (!open.empty()) {
    const auto [at, behind] = open.back();
    open.pop_back();
    if (!visited_.add({at, behind})) continue;
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
  points_ += state.points.size();
  if (points_ > kMaxPoints)
    throw Error(Errc::usage, "the grammar's states are too large; use fewer alternatives");
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
  visited_.clear();
  for (const auto& [place, behind] : points)
    if (places_[place].bytes[byte]) close(places_[place].next[0], behind, reached);
  visits_ += points.size() + visited_.size();
  if (visits_ > kMaxVisits)
    throw Error(Errc::usage, "the grammar's states are too large; use fewer alternatives");
  const State to = intern(std::move(reached));
  states_[index].next[byte] = to;
  return to;
}

} // namespace talaria::model::grammar
