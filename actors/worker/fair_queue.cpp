#include "actors/worker/fair_queue.hpp"

#include <algorithm>
#include <utility>

namespace talaria::worker {

using remo::MaskedTensor;

void FairQueue::push(Waiting item) {
  const EnclaveId enclave = item.enclave;
  const auto [line, is_new] = lines_.try_emplace(enclave);
  if (is_new) {
    if (turns_.empty()) line->second.round = round_; // the next round begins with it
    turns_.push_back(enclave);
  }
  line->second.items.push_back(std::move(item));
}

void FairQueue::begin_round() {
  u64 most = 1;
  for (const auto& [enclave, line] : lines_) most = std::max(most, line.items.front().cost);
  quantum_ = static_cast<i64>(most);
  ++round_;
}

/// A line that is empty has no claim to more than the next one, and no debt.
void FairQueue::forget_if_empty(const EnclaveId& enclave) {
  const auto line = lines_.find(enclave);
  if (!line->second.items.empty()) return;
  lines_.erase(line);
  std::erase(turns_, enclave);
}

/// Takes out of a line what can be multiplied together with the first of the group.
void FairQueue::join(Line& line, std::vector<Waiting>& group, std::size_t& rows) {
  const auto& first = std::get<MaskedTensor>(group.front().question);
  const u32 matrix = first.matrix;
  const auto kind = first.kind;
  std::deque<Waiting> later;
  for (Waiting& item : line.items) {
    const auto* tensor = std::get_if<MaskedTensor>(&item.question);
    const bool fits = tensor != nullptr && tensor->matrix == matrix && tensor->kind == kind &&
                      rows + tensor->rows <= kJoinRows;
    if (!fits) {
      later.push_back(std::move(item));
      continue;
    }
    rows += tensor->rows;
    line.credit -= static_cast<i64>(item.cost);
    group.push_back(std::move(item));
  }
  line.items = std::move(later);
}

std::vector<Waiting> FairQueue::take() {
  for (;;) {
    Line& line = lines_.at(turns_.front());
    if (!line.has_turn) {
      if (line.round == round_) begin_round(); // everybody has had a turn
      line.round = round_;
      line.has_turn = true;
      line.credit += quantum_;
    }
    if (line.credit >= static_cast<i64>(line.items.front().cost)) break;
    line.has_turn = false; // the next one's turn
    turns_.push_back(turns_.front());
    turns_.pop_front();
  }
  Line& line = lines_.at(turns_.front());
  std::vector<Waiting> group;
  line.credit -= static_cast<i64>(line.items.front().cost);
  group.push_back(std::move(line.items.front()));
  line.items.pop_front();
  if (const auto* tensor = std::get_if<MaskedTensor>(&group.front().question)) {
    std::size_t rows = tensor->rows;
    const Turn turns = turns_;
    for (const EnclaveId& enclave : turns) {
      if (rows >= kJoinRows) break;
      join(lines_.at(enclave), group, rows);
    }
    for (const EnclaveId& enclave : turns) forget_if_empty(enclave);
  } else {
    forget_if_empty(EnclaveId(turns_.front()));
  }
  return group;
}

std::vector<Waiting> FairQueue::take_all() {
  std::vector<Waiting> all;
  for (auto& [enclave, line] : lines_)
    std::move(line.items.begin(), line.items.end(), std::back_inserter(all));
  lines_.clear();
  turns_.clear();
  return all;
}

} // namespace talaria::worker
