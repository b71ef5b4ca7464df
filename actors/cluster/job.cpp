#include "actors/cluster/job.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace talaria::cluster {

using remo::WorkerProduct;

Job::Job(const MatrixPlan& plan, Question question, Clock::time_point give_up)
    : plan_(&plan), question_(std::move(question)), give_up_(give_up), shards_(plan.shards.size()) {
}

std::vector<std::size_t> Job::open_shards() const {
  std::vector<std::size_t> open;
  for (std::size_t s = 0; s < shards_.size(); ++s)
    if (!shards_[s].node && !shards_[s].answered) open.push_back(s);
  return open;
}

std::vector<Holder> Job::candidates(std::size_t shard) const {
  std::vector<Holder> holders;
  for (const Holder& holder : plan_->shards[shard].holders)
    if (!excluded_.contains(holder.node)) holders.push_back(holder);
  // One that is late may be asked last only: the question is with it already.
  std::stable_partition(holders.begin(), holders.end(),
                        [this](const Holder& holder) { return !late_.contains(holder.node); });
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

void Job::answer(u32 node, WorkerProduct product) {
  asked_.erase(node);
  late_.erase(node);
  answers_.insert_or_assign(node, std::move(product));
  use_answer(node);
}

/// Fills every shard without an answer that `node` holds, whoever was busy with it.
void Job::use_answer(u32 node) {
  if (excluded_.contains(node)) return;
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    const auto& holders = plan_->shards[s].holders;
    const bool holds = std::any_of(holders.begin(), holders.end(),
                                   [node](const Holder& holder) { return holder.node == node; });
    if (shards_[s].answered || !holds) continue;
    shards_[s].answered = node;
    ++answered_;
  }
}

void Job::release(u32 node, const std::string& why) {
  if (asked_.erase(node) == 0) return;
  late_.erase(node);
  for (Held& shard : shards_)
    if (shard.node == node) shard.node.reset();
  ++failures_;
  last_failure_ = why;
}

std::vector<u32> Job::overdue(Clock::time_point now) {
  std::vector<u32> nodes;
  for (const auto& [node, deadline] : asked_)
    if (deadline <= now && late_.insert(node).second) nodes.push_back(node);
  for (const u32 node : nodes)
    for (Held& shard : shards_)
      if (shard.node == node) shard.node.reset();
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
  WorkerProduct whole = answers_.at(*shards_[0].answered);
  whole.cols = static_cast<u32>(plan_->columns);
  whole.answered_by.clear();
  std::vector<remo::SharedBytes> parts;
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    const u32 node = *shards_[s].answered;
    const Shard& shard = plan_->shards[s];
    parts.push_back(columns_of(answers_.at(node), held_by(s, node).first_column, shard.first_column,
                               shard.columns));
    whole.answered_by.push_back(node);
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

} // namespace talaria::cluster
