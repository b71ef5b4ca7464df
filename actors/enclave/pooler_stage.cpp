#include "actors/enclave/pooler_stage.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/declassify.hpp"
#include "model/pooling.hpp"

namespace talaria::enclave {

namespace {

/// Rows that came before those in front of them.
struct EarlyRows {
  ClearTensor rows;
  std::size_t first = 0; ///< of them in the tensor
  std::size_t count = 0;
};

/// A text whose rows are under way.
struct PooledText {
  model::PooledRows rows;
  std::size_t length; ///< tokens
  u32 dimensions;
  std::optional<u32> next{};        ///< position of the row that is to be taken next
  std::map<u32, EarlyRows> early{}; ///< by position
};

class Pooler {
public:
  explicit Pooler(PoolerShape shape) : shape_(std::move(shape)) {}

  void enrol(const Enrol& enrol) {
    texts_.insert_or_assign(enrol.sequence, PooledText{model::PooledRows(shape_.pooling.kind),
                                                       enrol.prompt.size(), enrol.dimensions});
  }
  void forget(SequenceId sequence) { texts_.erase(sequence); }

  Sampled pool(const Flow& flow) {
    Sampled out;
    out.micro_batch = flow.batch->id;
    std::size_t row = 0;
    for (const Segment& segment : flow.batch->segments) {
      const std::size_t first = row;
      row += segment.wanted_rows();
      const auto text = texts_.find(segment.sequence);
      if (segment.logits_rows == 0 || text == texts_.end()) continue;
      take(text->second, segment.start + segment.count - segment.logits_rows,
           {flow.x, first, segment.logits_rows});
      if (text->second.next != text->second.length) continue;
      if (auto values = finished(text->second))
        out.pooled.push_back({segment.sequence, *std::move(values)});
      else
        out.failed.push_back(segment.sequence);
    }
    pool_in_vain(flow, row);
    return out;
  }

private:
  /// The one row of a text that wants its last comes first and last.
  void take(PooledText& text, u32 position, EarlyRows rows) {
    if (!text.next) text.next = shape_.pooling.kind == model::PoolingKind::last ? position : 0;
    text.early.emplace(position, std::move(rows));
    for (auto it = text.early.find(*text.next); it != text.early.end();
         it = text.early.find(*text.next)) {
      const EarlyRows& now = it->second;
      text.rows.add({now.rows->row(now.first), now.count, now.rows->cols()});
      *text.next += static_cast<u32>(now.count);
      text.early.erase(it);
    }
  }

  /// Nothing if a number is not finite: that there is one may be seen, it is an error.
  std::optional<std::vector<float>> finished(const PooledText& text) const {
    std::vector<float> values = text.rows.result();
    if (shape_.pooling.task == model::Task::score)
      values = {model::score(values, shape_.score, shape_.pooling)};
    else
      values = model::embedding(std::move(values), shape_.pooling, text.dimensions);
    float sum = 0;
    for (const float x : values) sum += x - x; // NaN if x is NaN or infinite
    if (declassified(sum) != 0 || std::isnan(declassified(sum))) return std::nullopt;
    return values;
  }

  /// Padding behind the rows that count takes as long as rows that do, where that is asked for.
  void pool_in_vain(const Flow& flow, std::size_t first) const {
    if (!flow.batch->even || first == flow.x->rows()) return;
    model::PooledRows vain(shape_.pooling.kind);
    vain.add({flow.x->row(first), flow.x->rows() - first, flow.x->cols()});
  }

  const PoolerShape shape_;
  std::unordered_map<SequenceId, PooledText> texts_;
};

SamplerStage::behavior_type pooler_stage(SamplerStage::pointer self, StageContext context,
                                         PoolerShape shape) {
  name_exceptions_by_kind(self);
  auto pooler = std::make_shared<Pooler>(std::move(shape));
  return {[self, context, pooler](const Flow& flow) {
            guarded(self, context, flow.batch->id, [&] {
              const auto span =
                  context.span(telemetry::SpanKind::sample, *flow.batch, flow.x->rows(), flow.sent);
              self->send(context.overseer, pooler->pool(flow));
            });
          },
          [pooler](const Enrol& enrol) { pooler->enrol(enrol); },
          [pooler](const Forget& forget) { pooler->forget(forget.sequence); }};
}

} // namespace

SamplerStage spawn_pooler(caf::actor_system& system, StageContext context, PoolerShape shape) {
  return system.spawn(pooler_stage, std::move(context), std::move(shape));
}

} // namespace talaria::enclave
