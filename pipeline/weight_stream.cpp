#include "pipeline/weight_stream.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "kernels/packed_weights.hpp"

namespace talaria::pipeline {

namespace {

using cluster::SentPanels;
using cluster::Shard;

constexpr u64 kPanel = kernels::PackedWeights::kPanel;
constexpr std::size_t kChunkBytes = std::size_t{4} << 20;
/// Choices of copies that are hashed at most: one liar beside honest holders takes two, and liars
/// who agreed to differ everywhere must not keep the enclave busy for hours.
constexpr std::size_t kMaxChoices = 256;

/// Who sent which panels first.
struct Origin {
  u32 node = 0;
  u64 first = 0;
  u64 count = 0;
};

/// All panels of one shard, and whose they are; nobody's: as they came at first.
struct Copy {
  std::optional<u32> node;
  std::vector<u8> bytes;
};

class Stream {
public:
  Stream(model::WeightAssembler matrix, const cluster::MatrixPlan& plan, const Sha256Digest& digest,
         const PanelSource& source)
      : matrix_(std::move(matrix)), plan_(plan), digest_(digest), source_(source) {}

  void fetch() {
    while (matrix_.next_panel() < matrix_.panels()) {
      const SentPanels sent =
          ask(matrix_.next_panel(), matrix_.panels() - matrix_.next_panel(), std::nullopt);
      matrix_.add(sent.panels.first, sent.panels.count, sent.panels.bytes->span());
      origins_.push_back({sent.node, sent.panels.first, sent.panels.count});
    }
  }

  bool right() const { return matrix_.matches(digest_); }
  model::QuantizedLinear finish() { return matrix_.finish(digest_); }

  /// Tries copies of others until the matrix is right. False if no choice of them is.
  bool repair() {
    for (const Shard& shard : plan_.shards) {
      const auto bytes = matrix_.at(first_panel(shard), panels_of(shard));
      copies_.push_back({Copy{std::nullopt, {bytes.begin(), bytes.end()}}});
    }
    for (std::size_t further = 0; fetch_further(further); ++further)
      if (choose()) return true;
    return false;
  }

  /// Who sent something else than what the matrix, which is right, holds now.
  std::set<u32> liars() const {
    std::set<u32> nodes;
    for (std::size_t s = 0; s < copies_.size(); ++s) {
      const Shard& shard = plan_.shards[s];
      const auto truth = matrix_.at(first_panel(shard), panels_of(shard));
      for (const Copy& copy : copies_[s])
        if (copy.node && !same(truth, copy.bytes)) nodes.insert(*copy.node);
      for (const Origin& origin : origins_) {
        if (origin.first < first_panel(shard) ||
            origin.first >= first_panel(shard) + panels_of(shard))
          continue;
        const std::size_t from = (origin.first - first_panel(shard)) * matrix_.panel_bytes();
        const std::size_t bytes = origin.count * matrix_.panel_bytes();
        const auto sent = std::span(copies_[s].front().bytes).subspan(from, bytes);
        if (!same(truth.subspan(from, bytes), sent)) nodes.insert(origin.node);
      }
    }
    return nodes;
  }

  std::set<u32> senders() const {
    std::set<u32> nodes;
    for (const Origin& origin : origins_) nodes.insert(origin.node);
    for (const auto& copies : copies_)
      for (const Copy& copy : copies)
        if (copy.node) nodes.insert(*copy.node);
    return nodes;
  }

private:
  static u64 first_panel(const Shard& shard) { return shard.first_column / kPanel; }
  static u64 panels_of(const Shard& shard) { return (shard.columns + kPanel - 1) / kPanel; }
  static bool same(std::span<const u8> a, std::span<const u8> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

  SentPanels ask(u64 first, u64 most, std::optional<u32> from) {
    const u64 chunk = std::max<u64>(1, kChunkBytes / matrix_.panel_bytes());
    SentPanels sent = source_(
        {plan_.matrix, static_cast<u32>(first), static_cast<u32>(std::min(chunk, most))}, from);
    const auto& panels = sent.panels;
    if (panels.first != first || panels.count == 0 || panels.count > most ||
        panels.bytes == nullptr || panels.bytes->size() != panels.count * matrix_.panel_bytes())
      throw Error(Errc::verification, plan_.name + ": other panels than were asked for");
    return sent;
  }

  /// Of every shard the copy of its holder number `further`, unless all of it came from there at
  /// first. False if no shard has so many holders.
  bool fetch_further(std::size_t further) {
    bool some = false;
    for (std::size_t s = 0; s < plan_.shards.size(); ++s) {
      const auto& holders = plan_.shards[s].holders;
      if (further >= holders.size()) continue;
      some = true;
      const u32 node = holders[further].node;
      if (came_from(plan_.shards[s], node)) continue;
      if (auto bytes = copy_of(plan_.shards[s], node))
        copies_[s].push_back({node, std::move(*bytes)});
    }
    return some;
  }

  bool came_from(const Shard& shard, u32 node) const {
    return std::all_of(origins_.begin(), origins_.end(), [&](const Origin& origin) {
      const bool of_shard = origin.first >= first_panel(shard) &&
                            origin.first < first_panel(shard) + panels_of(shard);
      return !of_shard || origin.node == node;
    });
  }

  std::optional<std::vector<u8>> copy_of(const Shard& shard, u32 node) {
    std::vector<u8> bytes;
    const u64 end = first_panel(shard) + panels_of(shard);
    try {
      for (u64 panel = first_panel(shard); panel < end;) {
        const SentPanels sent = ask(panel, end - panel, node);
        bytes.insert(bytes.end(), sent.panels.bytes->begin(), sent.panels.bytes->end());
        panel += sent.panels.count;
      }
    } catch (const Error&) { // this one does not help
      return std::nullopt;
    }
    return bytes;
  }

  /// Counts through the choices of one copy per shard.
  bool choose() {
    std::vector<std::size_t> choice(copies_.size(), 0);
    for (std::size_t tried = 0; tried < kMaxChoices; ++tried) {
      for (std::size_t s = 0; s < choice.size(); ++s)
        matrix_.replace(first_panel(plan_.shards[s]), copies_[s][choice[s]].bytes);
      if (right()) return true;
      std::size_t s = 0;
      while (s < choice.size() && ++choice[s] == copies_[s].size()) choice[s++] = 0;
      if (s == choice.size()) return false;
    }
    return false;
  }

  model::WeightAssembler matrix_;
  const cluster::MatrixPlan& plan_;
  const Sha256Digest& digest_;
  const PanelSource& source_;
  std::vector<Origin> origins_;
  std::vector<std::vector<Copy>> copies_; ///< of every shard, first as it came
};

} // namespace

StreamedWeights stream_weights(model::WeightAssembler matrix, const cluster::MatrixPlan& plan,
                               const Sha256Digest& digest, const PanelSource& source,
                               const std::function<std::string(u32 node)>& describe) {
  Stream stream(std::move(matrix), plan, digest, source);
  stream.fetch();
  if (stream.right()) return {stream.finish(), {}};
  if (stream.repair()) {
    auto liars = stream.liars();
    return {stream.finish(), std::move(liars)};
  }
  std::string text = plan.name +
                     ": the weights that workers sent do not have the SHA-256 of the manifest: "
                     "they hold another model, or lie; they came from";
  for (const u32 node : stream.senders()) text += " " + describe(node);
  throw Error(Errc::verification, text + ", and nobody holds the right ones");
}

} // namespace talaria::pipeline
