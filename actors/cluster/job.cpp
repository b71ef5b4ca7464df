#include "actors/cluster/job.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/packed_weights.hpp"

namespace talaria::cluster {

using remo::WeightPanels;
using remo::WeightRequest;
using remo::WorkerProduct;

namespace {

constexpr u64 kPanel = kernels::PackedWeights::kPanel;

bool holds_panel(const Shard& shard, u64 panel) {
  const u64 column = panel * kPanel;
  return shard.first_column <= column && column - shard.first_column < shard.columns;
}

bool holds(const Shard& shard, u32 node) {
  return std::any_of(shard.holders.begin(), shard.holders.end(),
                     [node](const Holder& holder) { return holder.node == node; });
}

bool holds_some(const MatrixPlan& plan, u32 node) {
  return std::any_of(plan.shards.begin(), plan.shards.end(),
                     [node](const Shard& shard) { return holds(shard, node); });
}

/// Who gave all columns of a shard, if that was one worker.
std::optional<u32> only_sender(const std::vector<SentPart>& parts, const Shard& shard) {
  std::optional<u32> sender;
  u64 columns = 0;
  for (const SentPart& part : parts) {
    const u64 first = std::max(part.first_column, shard.first_column);
    const u64 end = std::min(part.first_column + part.columns, shard.first_column + shard.columns);
    if (first >= end) continue;
    if (sender && *sender != part.node) return std::nullopt;
    sender = part.node;
    columns += end - first;
  }
  return columns == shard.columns ? sender : std::nullopt;
}

} // namespace

std::optional<WeightRequest> within_one_shard(const MatrixPlan& plan,
                                              const WeightRequest& request) {
  for (const Shard& shard : plan.shards) {
    if (!holds_panel(shard, request.first)) continue;
    const u64 end = (shard.first_column + shard.columns + kPanel - 1) / kPanel;
    WeightRequest clipped = request;
    clipped.count = static_cast<u32>(std::min<u64>(request.count, end - request.first));
    return clipped;
  }
  return std::nullopt;
}

Job::Job(const MatrixPlan& plan, Question question, Clock::time_point give_up)
    : plan_(&plan), question_(std::move(question)), give_up_(give_up) {
  want_shards();
}

void Job::want_shards() {
  const auto* weights = std::get_if<WeightRequest>(&question_);
  shards_.assign(plan_->shards.size(), {});
  wanted_ = answered_ = 0;
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    shards_[s].wanted = weights == nullptr || holds_panel(plan_->shards[s], weights->first);
    if (shards_[s].wanted) ++wanted_;
  }
}

std::vector<std::size_t> Job::open_shards() const {
  std::vector<std::size_t> open;
  for (std::size_t s = 0; s < shards_.size(); ++s)
    if (shards_[s].wanted && !shards_[s].node && !shards_[s].answered) open.push_back(s);
  return open;
}

std::vector<Holder> Job::candidates(std::size_t shard,
                                    const std::function<u32(u32)>& failures) const {
  std::vector<Holder> holders;
  for (const Holder& holder : plan_->shards[shard].holders)
    if (!excluded_.contains(holder.node)) holders.push_back(holder);
  if (holders.size() < 2) return holders;
  const auto rank = [&](const Holder& holder) {
    return std::pair(in_vain_.contains(holder.node), failures ? failures(holder.node) : 0U);
  };
  std::stable_sort(holders.begin(), holders.end(),
                   [&](const Holder& a, const Holder& b) { return rank(a) < rank(b); });
  return holders;
}

bool Job::assign(std::size_t shard, u32 node, Clock::time_point deadline) {
  shards_[shard].node = node;
  if (answers_.contains(node)) {
    use_answer(node);
    return false;
  }
  return asked_.emplace(node, deadline).second;
}

void Job::keep(const WorkerProduct& product, std::vector<SentPart> right) {
  kept_ = product;
  kept_parts_ = std::move(right);
  keep_what_fits();
}

void Job::keep_what_fits() {
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    const auto sender = only_sender(kept_parts_, plan_->shards[s]);
    if (!sender || shards_[s].answered) continue;
    shards_[s].answered = sender;
    shards_[s].kept = true;
    ++answered_;
  }
}

void Job::replan(const MatrixPlan& plan) {
  plan_ = &plan;
  const auto is_over = [&](const auto& entry) { return !holds_some(plan, entry.first); };
  if (auto* weights = std::get_if<WeightRequest>(&question_)) {
    *weights = within_one_shard(plan, *weights).value_or(*weights);
    asked_.clear();
    late_.clear();
    answers_.clear();
  } else {
    std::erase_if(asked_, is_over);
    std::erase_if(answers_, is_over);
    std::erase_if(late_, [&](u32 node) { return !asked_.contains(node); });
  }
  want_shards();
  keep_what_fits();
  for (const auto& [node, answer] : answers_) use_answer(node);
  for (std::size_t s = 0; s < shards_.size(); ++s)
    for (const auto& [node, deadline] : asked_)
      if (shards_[s].wanted && !shards_[s].answered && !late_.contains(node) &&
          holds(plan.shards[s], node))
        shards_[s].node = node;
}

void Job::answer(u32 node, Reply reply) {
  asked_.erase(node);
  late_.erase(node);
  answers_.insert_or_assign(node, std::move(reply));
  use_answer(node);
}

/// Fills every shard without an answer that `node` holds, whoever was busy with it.
void Job::use_answer(u32 node) {
  if (excluded_.contains(node)) return;
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    if (!shards_[s].wanted || shards_[s].answered || !holds(plan_->shards[s], node)) continue;
    shards_[s].answered = node;
    ++answered_;
  }
}

void Job::open_again(u32 node) {
  for (Held& shard : shards_)
    if (shard.node == node) shard.node.reset();
}

void Job::release(u32 node, const std::string& why) {
  if (asked_.erase(node) == 0) return;
  late_.erase(node);
  in_vain_.insert(node);
  open_again(node);
  ++failures_;
  last_failure_ = why;
}

void Job::expel(u32 node, const std::string& why) {
  excluded_.insert(node);
  asked_.erase(node);
  late_.erase(node);
  open_again(node);
  last_failure_ = why;
}

std::vector<u32> Job::overdue(Clock::time_point now) {
  std::vector<u32> nodes;
  for (const auto& [node, deadline] : asked_)
    if (deadline <= now && late_.insert(node).second) nodes.push_back(node);
  for (const u32 node : nodes) {
    in_vain_.insert(node);
    open_again(node);
  }
  return nodes;
}

remo::SharedBytes columns_of(const WorkerProduct& product, u64 product_first, u64 first,
                             u64 count) {
  if (product_first == first && product.cols == count) return product.bytes;
  const std::size_t row_bytes = product.bytes->size() / product.rows;
  const std::size_t value = row_bytes / product.cols;
  AlignedBuffer<u8> part(product.rows * count * value, Unwritten{});
  for (std::size_t r = 0; r < product.rows; ++r)
    std::memcpy(part.data() + r * count * value,
                product.bytes->data() + r * row_bytes + (first - product_first) * value,
                count * value);
  return std::make_shared<const AlignedBuffer<u8>>(std::move(part));
}

WorkerProduct Job::joined() const {
  const auto held_by = [this](std::size_t s, u32 node) {
    const auto& holders = plan_->shards[s].holders;
    return *std::find_if(holders.begin(), holders.end(),
                         [node](const Holder& holder) { return holder.node == node; });
  };
  const auto product_of = [this](u32 node) -> const WorkerProduct& {
    return std::get<WorkerProduct>(answers_.at(node));
  };
  WorkerProduct whole = shards_[0].kept ? kept_ : product_of(*shards_[0].answered);
  whole.cols = static_cast<u32>(plan_->columns);
  whole.answered_by.clear();
  std::vector<remo::SharedBytes> parts;
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    const u32 node = *shards_[s].answered;
    const Shard& shard = plan_->shards[s];
    parts.push_back(shards_[s].kept ? columns_of(kept_, 0, shard.first_column, shard.columns)
                                    : columns_of(product_of(node), held_by(s, node).first_column,
                                                 shard.first_column, shard.columns));
  }
  if (parts.size() == 1) {
    whole.bytes = parts[0];
    return whole;
  }
  std::size_t total = 0;
  for (const auto& part : parts) total += part->size();
  AlignedBuffer<u8> bytes(total, Unwritten{});
  u8* at = bytes.data();
  for (std::size_t r = 0; r < whole.rows; ++r)
    for (const auto& part : parts) {
      const std::size_t run = part->size() / whole.rows;
      std::memcpy(at, part->data() + r * run, run);
      at += run;
    }
  whole.bytes = std::make_shared<const AlignedBuffer<u8>>(std::move(bytes));
  return whole;
}

std::vector<SentPart> Job::parts() const {
  std::vector<SentPart> parts;
  for (std::size_t s = 0; s < shards_.size(); ++s)
    parts.push_back(
        {*shards_[s].answered, plan_->shards[s].first_column, plan_->shards[s].columns});
  return parts;
}

std::pair<u32, WeightPanels> Job::panels() const {
  const auto shard = std::find_if(shards_.begin(), shards_.end(),
                                  [](const Held& held) { return held.answered.has_value(); });
  const u32 node = shard->answered.value();
  return {node, std::get<WeightPanels>(answers_.at(node))};
}

} // namespace talaria::cluster
