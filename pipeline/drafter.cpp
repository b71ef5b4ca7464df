#include "pipeline/drafter.hpp"

#include <algorithm>
#include <utility>

namespace talaria::pipeline {

using enclave::MicroBatch;
using enclave::Segment;
using enclave::SequenceId;

namespace {

/// Rows of one sequence that a step reads: enough to read weights seldom, and soon over.
constexpr std::size_t kChunk = 64;
/// Rows of all sequences of a guess.
constexpr std::size_t kMostRows = 256;
/// Rows that a guess begins with.
constexpr std::size_t kFirstRows = 2;

/// Looks at all of them.
std::size_t common_beginning(std::span<const u32> a, std::span<const u32> b) {
  std::size_t common = 0;
  u32 alike = 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    alike &= static_cast<u32>(a[i] == b[i]);
    common += alike;
  }
  return common;
}

} // namespace

Drafter::Drafter(std::shared_ptr<DraftModel> model, DrafterOptions options)
    : model_(std::move(model)), options_(options),
      store_(std::make_shared<kv::Store>(model_->layout(), options.kv_bytes)) {
  bool by_length = false;
  for (const arch::Rope& rope : model_->plan().ropes) by_length |= rope.by_length();
  if (options_.prefixes && !options_.even && !by_length)
    prefixes_ = std::make_unique<kv::PrefixCache>(store_, options_.kv_bytes / 4);
}

kv::PrefixCache::Counts Drafter::prefix_counts() const {
  return prefixes_ ? prefixes_->counts() : kv::PrefixCache::Counts{};
}

void Drafter::order(const DraftOrder& order) {
  const auto known = followed_.find(order.sequence);
  Followed& followed = known == followed_.end() ? begin(order) : known->second;
  followed.wanted = order.drafts;
  if (followed.lost) return;
  if (known != followed_.end()) take_tokens(followed, order);
  if (!within_context(followed)) lose(*followed_.find(order.sequence));
}

Drafter::Followed& Drafter::begin(const DraftOrder& order) {
  Entry& entry = *followed_.try_emplace(order.sequence).first;
  Followed& followed = entry.second;
  followed.tokens = order.tokens;
  followed.owner = order.owner;
  followed.most = std::min(order.most, model_->plan().max_position);
  followed.length = order.length();
  const std::size_t bytes =
      store_->layout().bytes_for(followed.most, static_cast<u32>(kChunk + options_.drafts));
  if (order.from != 0 || (options_.even && !store_->reserve(order.sequence, bytes)))
    lose(entry);
  else if (prefixes_ && !followed.owner.empty())
    followed.read = prefixes_->begin(followed.owner, followed.tokens, order.sequence);
  return followed;
}

/// What was guessed right has its keys and values.
void Drafter::take_tokens(Followed& followed, const DraftOrder& order) {
  followed.tokens.resize(std::min<std::size_t>(followed.tokens.size(), order.from));
  followed.tokens.insert(followed.tokens.end(), order.tokens.begin(), order.tokens.end());
  followed.read = std::min<std::size_t>(followed.read, order.from);
  if (followed.guesses.empty() || followed.guess_at > followed.tokens.size() ||
      followed.read != followed.guess_at)
    return;
  const std::size_t right =
      common_beginning(followed.guesses, std::span(followed.tokens).subspan(followed.guess_at));
  followed.read += std::min(right, followed.guesses.size() - 1);
}

bool Drafter::within_context(const Followed& followed) const {
  return followed.tokens.size() + options_.drafts <= model_->plan().max_position;
}

void Drafter::forget(SequenceId sequence) {
  const auto it = followed_.find(sequence);
  if (it == followed_.end()) return;
  Followed& followed = it->second;
  if (prefixes_ && !followed.owner.empty() && !followed.lost)
    prefixes_->keep(followed.owner, std::span(followed.tokens).first(followed.read), sequence);
  store_->release(sequence);
  model_->forget(sequence);
  followed_.erase(it);
}

/// Blocks for these positions, if need be those that prefixes have. Null: there are none.
kv::BlockListPtr Drafter::blocks(Entry& entry, u32 start, u32 count) {
  do {
    if (auto list = store_->extend(entry.first, start, count)) return list;
  } while (prefixes_ && prefixes_->evict());
  return nullptr;
}

/// Its memory goes to the others.
void Drafter::lose(Entry& entry) {
  store_->release(entry.first);
  model_->forget(entry.first);
  entry.second.lost = true;
  entry.second.read = 0;
  entry.second.guesses.clear();
  entry.second.tokens.clear();
}

/// Rows that are left for a guess to begin with stay unread until then: a window that has passed a
/// position does not go back to it.
std::size_t Drafter::lag(const Followed& followed) {
  const std::size_t ahead = followed.read + kFirstRows;
  return followed.lost || followed.tokens.size() <= ahead ? 0 : followed.tokens.size() - ahead;
}

bool Drafter::busy() const {
  return std::any_of(followed_.begin(), followed_.end(), [](const auto& entry) {
    return entry.second.wanted != 0 || lag(entry.second) != 0;
  });
}

std::vector<DraftAnswer> Drafter::step() {
  if (auto answers = answer_the_lost(); !answers.empty()) return answers;
  if (auto answers = guess_together(); !answers.empty()) return answers;
  // Nobody can be answered at once: those that are waited for read first.
  for (const bool waited_for : {true, false})
    for (Entry& entry : followed_) {
      const Followed& followed = entry.second;
      if (lag(followed) == 0 || (followed.wanted != 0) != waited_for) continue;
      read_on(entry);
      return {};
    }
  return {};
}

std::vector<DraftAnswer> Drafter::answer_the_lost() {
  std::vector<DraftAnswer> answers;
  for (auto& [id, followed] : followed_)
    if (followed.lost && followed.wanted != 0) {
      answers.push_back({id, 0, {}});
      followed.wanted = 0;
    }
  return answers;
}

void Drafter::add_rows(MicroBatch& batch, const Entry& entry, const kv::BlockListPtr& blocks,
                       u32 start, std::span<const u32> tokens) const {
  Segment segment;
  segment.sequence = entry.first;
  segment.start = start;
  segment.count = static_cast<u32>(tokens.size());
  segment.length = entry.second.length;
  segment.drafts = options_.even ? 1 : 0; // evens out how far within a block contexts have come
  segment.blocks = blocks;
  batch.segments.push_back(std::move(segment));
  batch.tokens.insert(batch.tokens.end(), tokens.begin(), tokens.end());
  batch.rows += static_cast<u32>(tokens.size());
  batch.even = options_.even;
}

void Drafter::read_on(Entry& entry) {
  Followed& followed = entry.second;
  const auto start = static_cast<u32>(followed.read);
  const auto count = static_cast<u32>(std::min(lag(followed), kChunk));
  const auto list = blocks(entry, start, count);
  if (!list) return lose(entry);
  MicroBatch batch;
  add_rows(batch, entry, list, start, std::span(followed.tokens).subspan(start, count));
  try {
    model_->read(batch);
  } catch (const std::exception&) { // numbers that are not finite, or no memory
    return lose(entry);
  }
  followed.read += count;
}

/// The rows that guesses begin with, of as many of the sequences that wait as there is room for.
/// Those that have no memory are lost.
MicroBatch Drafter::first_rows(std::vector<Guessing>& together) {
  MicroBatch batch;
  for (Entry& entry : followed_) {
    Followed& followed = entry.second;
    if (followed.wanted == 0 || followed.lost || lag(followed) > kChunk) continue;
    const std::size_t size = followed.tokens.size();
    const std::size_t start = std::min(followed.read, size - std::min(size, kFirstRows));
    if (batch.rows + (size - start) > kMostRows) break;
    const auto count = static_cast<u32>(size - start + followed.wanted - 1);
    Guessing guessing{&entry, blocks(entry, static_cast<u32>(start), count)};
    if (!guessing.blocks) {
      lose(entry);
      continue;
    }
    add_rows(batch, entry, guessing.blocks, static_cast<u32>(start),
             std::span(followed.tokens).subspan(start));
    together.push_back(std::move(guessing));
  }
  return batch;
}

/// The rows of the drafts at `place`, of sequences that want one more behind them.
MicroBatch Drafter::next_rows(const std::vector<Guessing>& together, std::size_t place) const {
  MicroBatch batch;
  for (const auto& [entry, list] : together) {
    const Followed& followed = entry->second;
    if (followed.wanted <= place + 1) continue;
    add_rows(batch, *entry, list, static_cast<u32>(followed.tokens.size() + place),
             std::span(followed.guesses).subspan(place, 1));
  }
  return batch;
}

std::vector<DraftAnswer> Drafter::guess_together() {
  std::vector<Guessing> together;
  MicroBatch batch = first_rows(together);
  for (const Guessing& guessing : together) {
    guessing.entry->second.guesses.clear();
    guessing.entry->second.guess_at = guessing.entry->second.tokens.size();
  }
  try {
    for (std::size_t place = 0; batch.rows != 0; batch = next_rows(together, place++)) {
      const std::vector<u32> guessed = model_->guess(batch, options_.vocab);
      for (std::size_t i = 0; i < guessed.size(); ++i)
        followed_.at(batch.segments[i].sequence).guesses.push_back(guessed[i]);
    }
  } catch (
      const std::exception&) { // numbers that are not finite, or no memory: of whose, who knows
    for (const Guessing& guessing : together) lose(*guessing.entry);
    return answer_the_lost();
  }
  std::vector<DraftAnswer> answers;
  for (const auto& [entry, list] : together) {
    Followed& followed = entry->second;
    followed.read = followed.guess_at;
    followed.wanted = 0;
    answers.push_back({entry->first, static_cast<u32>(followed.guess_at), followed.guesses});
  }
  return answers;
}

} // namespace talaria::pipeline
