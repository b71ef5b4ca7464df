#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "actors/cluster/placement.hpp"
#include "core/error.hpp"
#include "remo/public/wire_tensors.hpp"

namespace talaria::cluster {

using Clock = std::chrono::steady_clock;
using Question = std::variant<remo::MaskedTensor, remo::HintRequest>;

/// One product on its way through the cluster: which shard is with which worker, what has come
/// back, and who is not to be asked. Holds masked bytes only. No actor, no clock of its own.
class Job {
public:
  Job(const MatrixPlan& plan, Question question, Clock::time_point give_up);

  const Question& question() const noexcept { return question_; }
  const MatrixPlan& plan() const noexcept { return *plan_; }
  Clock::time_point give_up() const noexcept { return give_up_; }

  /// Shards without an answer that nobody is busy with.
  std::vector<std::size_t> open_shards() const;
  /// Who may still be asked for a shard, in order of preference.
  std::vector<Holder> candidates(std::size_t shard) const;
  /// Puts a shard into `node`'s hands. True if the question must be sent: false if it is with that
  /// node already, or was answered by it.
  bool assign(std::size_t shard, u32 node, Clock::time_point deadline);

  /// An answer of `node`, also a late one. Its columns must be those the plan says it holds.
  void answer(u32 node, remo::WorkerProduct product);
  /// `node` cannot answer any more; its shards are open again. Counts as a failure.
  void release(u32 node, const std::string& why);
  /// Nodes whose deadline has passed; each is named once, its shards are open again, and its answer
  /// is still welcome.
  std::vector<u32> overdue(Clock::time_point now);
  /// Takes `node` out of the candidates for good.
  void exclude(u32 node) { excluded_.insert(node); }
  const std::set<u32>& excluded() const noexcept { return excluded_; }

  bool complete() const noexcept { return answered_ == shards_.size(); }
  /// All shards side by side, with who answered each. Only if complete().
  remo::WorkerProduct joined() const;

  u32 failures() const noexcept { return failures_; }
  const std::string& last_failure() const noexcept { return last_failure_; }

private:
  struct Held {
    std::optional<u32> node;     ///< who is busy with it
    std::optional<u32> answered; ///< whose answer is used
  };
  void use_answer(u32 node);

  const MatrixPlan* plan_;
  Question question_;
  Clock::time_point give_up_;
  std::vector<Held> shards_;
  std::size_t answered_ = 0;
  std::map<u32, Clock::time_point> asked_; ///< sent and not answered, with deadlines
  std::set<u32> late_;                     ///< of those, the ones past their deadline
  std::map<u32, remo::WorkerProduct> answers_;
  std::set<u32> excluded_;
  u32 failures_ = 0;
  std::string last_failure_;
};

/// Columns [first, first + count) of a product whose own first column is `product_first`.
remo::SharedBytes columns_of(const remo::WorkerProduct& product, u64 product_first, u64 first,
                             u64 count);

} // namespace talaria::cluster
