#include "attest/binding/binding.hpp"

#include <algorithm>

#include "attest/evidence/public_key.hpp"
#include "core/equal_bytes.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

constexpr std::string_view kTag = "talaria attestation v1";
constexpr std::string_view kBatchTag = "talaria attestation batch v1";
constexpr std::size_t kMaxInputs = std::size_t{1} << kMaxPathSteps;

Sha256Digest leaf_of(Bytes transcript) {
  std::vector<u8> bytes{0};
  bytes.insert(bytes.end(), transcript.begin(), transcript.end());
  return sha256(bytes);
}

Sha256Digest node_of(const Sha256Digest& left, const Sha256Digest& right) {
  std::vector<u8> bytes{1};
  bytes.insert(bytes.end(), left.begin(), left.end());
  bytes.insert(bytes.end(), right.begin(), right.end());
  return sha256(bytes);
}

/// What stands in the place of a transcript for a whole batch.
std::vector<u8> batch_of(const Sha256Digest& root) {
  std::vector<u8> bytes(kBatchTag.begin(), kBatchTag.end());
  bytes.push_back(0);
  bytes.insert(bytes.end(), root.begin(), root.end());
  return bytes;
}

std::vector<u8> hashed_of(const BindingInput& input, const std::vector<PathStep>& path) {
  const auto own = transcript(input);
  if (path.empty()) return to_vector(own);
  Sha256Digest node = leaf_of(own);
  for (const PathStep& step : path)
    node = step.sibling_is_left ? node_of(step.sibling, node) : node_of(node, step.sibling);
  return batch_of(node);
}

template <std::size_t N>
std::array<u8, N> fixed_digest(HashKind kind, Bytes data) {
  std::array<u8, N> value{};
  std::ranges::copy(digest(kind, data), value.begin());
  return value;
}

/// Empty if the input is what its role demands.
std::string problem_of(const BindingInput& input) {
  const bool has_nonce = !all_zero(input.nonce);
  const bool has_channel = !all_zero(input.channel);
  if (input.role == Role::archive)
    return has_nonce || has_channel ? "evidence for archives has neither nonce nor channel" : "";
  if (input.role != Role::server && input.role != Role::client) return "the role is not known";
  if (!has_nonce) return "there is no nonce: the evidence would be fresh for nobody";
  if (!has_channel) return "there is no channel: the evidence would be of no connection";
  return all_zero(input.key) ? "there is no key" : "";
}

} // namespace

std::array<u8, 32> channel_of_link(Bytes control, Bytes up, Bytes down) {
  std::vector<u8> bytes;
  for (const Bytes exporter : {control, up, down}) {
    if (exporter.size() != 32) throw Error(Errc::usage, "an exporter does not have 32 bytes");
    bytes.insert(bytes.end(), exporter.begin(), exporter.end());
  }
  return sha256(bytes);
}

std::array<u8, 152> transcript(const BindingInput& input) {
  std::array<u8, 152> bytes{};
  auto at = std::ranges::copy(kTag, bytes.begin()).out;
  *at++ = 0;
  *at++ = static_cast<u8>(input.role);
  for (const auto* part : {&input.nonce, &input.channel, &input.key, &input.statement})
    at = std::ranges::copy(*part, at).out;
  return bytes;
}

std::array<u8, 64> report_data(const BindingInput& input, const std::vector<PathStep>& path) {
  return fixed_digest<64>(HashKind::sha512, hashed_of(input, path));
}

std::array<u8, 32> qualifying_data(const BindingInput& input, const std::vector<PathStep>& path) {
  return fixed_digest<32>(HashKind::sha256, hashed_of(input, path));
}

BatchTree::BatchTree(const std::vector<BindingInput>& inputs) {
  if (inputs.empty() || inputs.size() > kMaxInputs)
    throw Error(Errc::usage, "a batch has 1 to 65536 bindings");
  only_ = transcript(inputs.front());
  levels_.emplace_back();
  for (const BindingInput& input : inputs) levels_[0].push_back(leaf_of(transcript(input)));
  while (levels_.back().size() > 1) {
    const std::vector<Sha256Digest>& below = levels_.back();
    std::vector<Sha256Digest> above;
    for (std::size_t i = 0; i + 1 < below.size(); i += 2)
      above.push_back(node_of(below[i], below[i + 1]));
    if (below.size() % 2 == 1) above.push_back(below.back());
    levels_.push_back(std::move(above));
  }
}

std::vector<u8> BatchTree::hashed() const {
  return levels_.size() == 1 ? to_vector(only_) : batch_of(levels_.back().front());
}

std::array<u8, 64> BatchTree::report_data() const {
  return fixed_digest<64>(HashKind::sha512, hashed());
}

std::array<u8, 32> BatchTree::qualifying_data() const {
  return fixed_digest<32>(HashKind::sha256, hashed());
}

std::vector<PathStep> BatchTree::path(std::size_t index) const {
  std::vector<PathStep> steps;
  for (std::size_t level = 0; level + 1 < levels_.size(); ++level, index /= 2) {
    const std::size_t sibling = index ^ 1;
    if (sibling < levels_[level].size())
      steps.push_back({sibling < index, levels_[level][sibling]});
  }
  return steps;
}

void check_binding(Bytes bound, const BindingInput& own, const std::vector<PathStep>& path,
                   Checks& checks) {
  const std::string problem = problem_of(own);
  checks.require(problem.empty(), Stage::binding, "binding-input", problem);
  bool holds = false;
  if (bound.size() == 64) holds = equal_in_constant_time(bound, report_data(own, path));
  if (bound.size() == 32) holds = equal_in_constant_time(bound, qualifying_data(own, path));
  checks.require(holds && path.size() <= kMaxPathSteps, Stage::binding, "report-data",
                 "the evidence is bound to another connection, nonce, role, key or statement");
}

} // namespace talaria::attest
