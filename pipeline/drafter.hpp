#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/integers.hpp"
#include "kv/prefix_cache.hpp"
#include "kv/store.hpp"
#include "pipeline/draft_model.hpp"
#include "pipeline/speculation.hpp"

namespace talaria::pipeline {

struct DrafterOptions {
  std::size_t kv_bytes = 0; ///< for keys and values of the model that guesses
  u32 vocab = 0;            ///< guesses are below it
  u32 drafts = 0;           ///< the most of an order
  bool prefixes = true;     ///< keep what sequences with an owner have read, for others of theirs
  /// What a guess takes follows from the number of its drafts and the longest context alone; a
  /// sequence has memory for all that it may come to, or none.
  bool even = false;
};

/// Guesses the tokens of sequences by a model of its own, and keeps that model's keys and values in
/// step with them. Of a round's guesses those that were right stand in the cache already; what was
/// written for others is written over. Every guess begins with two rows, the last token and the one
/// before it, since of a round whose drafts were all right the last draft has no row yet: how many
/// were right does not show in the work.
///
/// Without memory, or beyond its model's context, a sequence is answered without drafts from then
/// on. One thread calls it; usage() may be read by anyone.
class Drafter {
public:
  Drafter(std::shared_ptr<DraftModel> model, DrafterOptions options);

  /// Takes an order; a later one of the same sequence takes the place of one that waits.
  void order(const DraftOrder& order);
  /// The sequence is over.
  void forget(enclave::SequenceId sequence);
  /// Does a part of what is to be done, a few dozen rows, and returns the guesses that are complete
  /// then. Guesses that wait come before prompts that are read ahead; those of several sequences
  /// share one reading of the weights.
  std::vector<DraftAnswer> step();
  /// Whether step() has something to do.
  bool busy() const;

  kv::Usage usage() const noexcept { return store_->usage(); }
  kv::PrefixCache::Counts prefix_counts() const;

private:
  struct Followed {
    std::vector<u32> tokens;
    std::string owner;
    std::size_t read = 0;     ///< first tokens whose keys and values are there
    std::size_t guess_at = 0; ///< length of the sequence when `guesses` were made
    std::vector<u32> guesses; ///< of which all but the last have keys and values behind that
    u32 most = 0;
    u32 length = 0; ///< of the sequence when it began (model::RopeTables)
    u32 wanted = 0; ///< drafts that are waited for; 0: nobody waits
    bool lost = false;
  };
  using Entry = std::map<enclave::SequenceId, Followed>::value_type;
  /// One of those that are guessed for together.
  struct Guessing {
    Entry* entry = nullptr;
    kv::BlockListPtr blocks;
  };

  Followed& begin(const DraftOrder& order);
  static void take_tokens(Followed& followed, const DraftOrder& order);
  bool within_context(const Followed& followed) const;
  static std::size_t lag(const Followed& followed); ///< rows to read ahead of a guess
  kv::BlockListPtr blocks(Entry& entry, u32 start, u32 count);
  void lose(Entry& entry);
  void read_on(Entry& entry);
  std::vector<DraftAnswer> answer_the_lost();
  std::vector<DraftAnswer> guess_together();
  enclave::MicroBatch first_rows(std::vector<Guessing>& together);
  enclave::MicroBatch next_rows(const std::vector<Guessing>& together, std::size_t place) const;
  void add_rows(enclave::MicroBatch& batch, const Entry& entry, const kv::BlockListPtr& blocks,
                u32 start, std::span<const u32> tokens) const;

  std::shared_ptr<DraftModel> model_;
  DrafterOptions options_;
  std::shared_ptr<kv::Store> store_;
  std::unique_ptr<kv::PrefixCache> prefixes_; ///< null: none
  std::map<enclave::SequenceId, Followed> followed_;
};

} // namespace talaria::pipeline
