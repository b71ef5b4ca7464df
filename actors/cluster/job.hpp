#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "actors/cluster/placement.hpp"
#include "actors/cluster/standing.hpp"
#include "core/error.hpp"
#include "remo/public/wire_tensors.hpp"

namespace talaria::cluster {

using Question = std::variant<remo::MaskedTensor, remo::HintRequest, remo::WeightRequest>;
using Reply = std::variant<remo::WorkerProduct, remo::WeightPanels>;

/// Columns that one worker answered.
struct SentPart {
  u32 node = 0;
  u64 first_column = 0;
  u64 columns = 0;

  auto operator<=>(const SentPart&) const = default;
};

/// The request cut to the shard that its first panel lies in; nothing if there is no such panel.
std::optional<remo::WeightRequest> within_one_shard(const MatrixPlan& plan,
                                                    const remo::WeightRequest& request);

/// One question on its way through the cluster: which shard is with which worker, what has come
/// back, and who is not to be asked. Holds masked bytes only. No actor, no clock of its own.
class Job {
public:
  /// @param plan      must stay until the job is over, or has another one
  /// @param question  weights as within_one_shard() cuts them: only that shard is asked for.
  Job(const MatrixPlan& plan, Question question, Clock::time_point give_up);

  const Question& question() const noexcept { return question_; }
  const MatrixPlan& plan() const noexcept { return *plan_; }
  Clock::time_point give_up() const noexcept { return give_up_; }

  /// Shards without an answer that nobody is busy with.
  std::vector<std::size_t> open_shards() const;
  /// Who may still be asked for a shard, in order of preference: whoever was asked in vain for this
  /// very question comes last, then whoever has more `failures`, otherwise in the plan's order.
  std::vector<Holder> candidates(std::size_t shard,
                                 const std::function<u32(u32 node)>& failures = {}) const;
  /// Puts a shard into `node`'s hands. True if the question must be sent: false if it is with that
  /// node already, or was answered by it.
  bool assign(std::size_t shard, u32 node, Clock::time_point deadline);

  /// Takes over the parts of an earlier product that are `right`, as far as they are whole shards
  /// of one worker.
  void keep(const remo::WorkerProduct& product, std::vector<SentPart> right);
  /// Goes by another plan of the same matrix from now on. Answers that are here, and those under
  /// way, count where whoever gives them is in it; other shards are open. Of weights, which may be
  /// cut otherwise, all are.
  void replan(const MatrixPlan& plan);
  /// Whether `node` has been asked by the plan that holds and has not answered, or late.
  bool awaits(u32 node) const { return asked_.contains(node); }
  /// An answer of `node`, also a late one. Its columns must be those the plan says it holds.
  void answer(u32 node, Reply reply);
  /// The link to `node` is lost; its shards are open again, and it may be asked again. Counts as a
  /// failure, so that a worker cannot keep a question going by closing its connection.
  void release(u32 node, const std::string& why);
  /// `node` will not answer, or answered what no honest worker does: its shards are open again and
  /// it is not asked again.
  void expel(u32 node, const std::string& why);
  /// Nodes whose deadline has passed; each is named once, its shards are open again, and its answer
  /// is still welcome.
  std::vector<u32> overdue(Clock::time_point now);
  /// What last_failure() says from now on.
  void note(const std::string& why) { last_failure_ = why; }
  /// Takes `node` out of the candidates for good.
  void exclude(u32 node) { excluded_.insert(node); }
  const std::set<u32>& excluded() const noexcept { return excluded_; }

  bool complete() const noexcept { return answered_ == wanted_; }
  /// All shards side by side. Only if complete(), and not of weights. Who answered is in parts().
  remo::WorkerProduct joined() const;
  /// Who answered each shard, in order. Only if complete(), and not of weights.
  std::vector<SentPart> parts() const;
  /// The panels, and who sent them. Only if complete(), and of weights.
  std::pair<u32, remo::WeightPanels> panels() const;

  u32 failures() const noexcept { return failures_; }
  const std::string& last_failure() const noexcept { return last_failure_; }

private:
  struct Held {
    bool wanted = true;
    std::optional<u32> node;     ///< who is busy with it
    std::optional<u32> answered; ///< whose answer is used
    bool kept = false;           ///< of an earlier product
  };
  void want_shards();
  void keep_what_fits();
  void use_answer(u32 node);
  void open_again(u32 node);

  const MatrixPlan* plan_;
  Question question_;
  Clock::time_point give_up_;
  std::vector<Held> shards_;
  std::size_t wanted_ = 0;                 ///< shards
  std::size_t answered_ = 0;               ///< of those
  std::map<u32, Clock::time_point> asked_; ///< sent and not answered, with deadlines
  std::set<u32> late_;                     ///< of those, the ones past their deadline
  std::set<u32> in_vain_;                  ///< lost or late at least once
  std::map<u32, Reply> answers_;
  remo::WorkerProduct kept_;         ///< the earlier product
  std::vector<SentPart> kept_parts_; ///< what is right of it
  std::set<u32> excluded_;
  u32 failures_ = 0;
  std::string last_failure_;
};

/// Columns [first, first + count) of a product whose own first column is `product_first`.
remo::SharedBytes columns_of(const remo::WorkerProduct& product, u64 product_first, u64 first,
                             u64 count);

} // namespace talaria::cluster
