#include "pipeline/draft_model.hpp"

#include <algorithm>
#include <utility>

#include "actors/enclave/attention_stage.hpp"
#include "core/random.hpp"
#include "core/secret.hpp"
#include "kernels/kernel_set.hpp"
#include "remo/public/public_matrix.hpp"

namespace talaria::pipeline {

using arch::LinearKind;
using enclave::ClearTensor;
using enclave::MicroBatch;
using enclave::Segment;
using enclave::share_clear;

namespace {

/// Plain products need no hints.
class NoHints final : public remo::HintSource {
public:
  remo::WorkerProduct hint_rows(u32, u32, u32) override { return none(); }
  remo::WorkerProduct product(const remo::MaskedTensor&) override { return none(); }

private:
  [[noreturn]] static remo::WorkerProduct none() {
    throw Error(Errc::internal, "a plain matrix asked for a hint");
  }
};

/// What a product took and gave are clear activations here, which its buffers do not know.
void wipe_shared(const remo::SharedBytes& bytes) {
  if (bytes) wipe(const_cast<u8*>(bytes->data()), bytes->size());
}

ClearTensor normed(const ClearTensor& x, const std::vector<float>& gain, float eps) {
  Matrix<float> out(x->rows(), x->cols(), Unwritten{});
  for (std::size_t r = 0; r < x->rows(); ++r)
    kernels::active_kernels().rms_norm(x->row(r), gain.empty() ? nullptr : gain.data(), out.row(r),
                                       x->cols(), eps);
  return share_clear(std::move(out));
}

/// The last row of each segment.
ClearTensor last_rows(const MicroBatch& batch, const ClearTensor& x) {
  Matrix<float> out(batch.segments.size(), x->cols(), Unwritten{});
  std::size_t end = 0;
  for (std::size_t s = 0; s < batch.segments.size(); ++s) {
    end += batch.segments[s].count;
    std::copy_n(x->row(end - 1), x->cols(), out.row(s));
  }
  return share_clear(std::move(out));
}

/// The first of the largest, in as many steps whichever it is.
u32 index_of_largest(const float* x, std::size_t n) {
  u32 best = 0;
  float largest = x[0];
  for (std::size_t i = 1; i < n; ++i) {
    const bool larger = x[i] > largest;
    best = larger ? static_cast<u32>(i) : best;
    largest = larger ? x[i] : largest;
  }
  return best;
}

[[noreturn]] void refuse(const std::string& why) {
  throw Error(Errc::config, "pipeline.speculate: " + why);
}

model::RowPositions positions_of(const model::RopeTables& ropes, const MicroBatch& batch) {
  std::vector<u32> positions;
  std::vector<u32> lengths;
  for (const Segment& segment : batch.segments)
    for (u32 i = 0; i < segment.count; ++i) {
      positions.push_back(segment.start + i);
      lengths.push_back(segment.length);
    }
  return ropes.at(std::move(positions), lengths);
}

} // namespace

void check_draft_model(const ModelLoader& loader) {
  const arch::ModelPlan& plan = loader.plan();
  if (loader.pooling() || plan.head != arch::Head::tokens)
    refuse("the model for drafts makes embeddings or scores, no tokens; name one that generates");
  if (!loader.has_weights())
    refuse("the folder of the model for drafts holds no weights, only the enclave's half of a "
           "prepared model; name one that has both halves");
  for (const arch::Layer& layer : plan.layers)
    if (layer.delta_net)
      refuse("the model for drafts has layers of Gated DeltaNet, whose state cannot go back behind "
             "a wrong draft; name another one");
}

/// What a layer computes with besides its matrices.
struct DraftModel::LayerParts {
  const arch::Layer* plan = nullptr;
  const model::LayerGains* gains = nullptr;
  std::unique_ptr<enclave::TokenMixer> attention;
  std::unique_ptr<const model::LatentHeads> latent;      ///< null: none
  std::unique_ptr<const model::Mixture> mixture;         ///< null: none
  std::unique_ptr<const model::PerLayerBlock> per_layer; ///< null: none
};

DraftModel::DraftModel(std::shared_ptr<const ModelLoader> loader, std::size_t threads,
                       kv::Format format, Progress& progress)
    : loader_(std::move(loader)), ropes_(loader_->plan().ropes) {
  check_draft_model(*loader_);
  layout_ = std::make_shared<const kv::Layout>(plan(), format);
  embeddings_ = loader_->embeddings();
  per_layer_embeddings_ = loader_->per_layer_embeddings();
  tensors_ = model::load_enclave_tensors(loader_->tensors(), plan());
  prepare_linears(threads, progress);
  make_layers(tensors_);
  if (plan().per_layer_inputs)
    mixing_.emplace(*plan().per_layer_inputs, plan().layers.size(), tensors_.per_layer_gain);
}

DraftModel::~DraftModel() = default;

void DraftModel::prepare_linears(std::size_t threads, Progress& progress) {
  remo::SchemeOptions options;
  options.kind = remo::SchemeKind::plain;
  const auto scheme = remo::make_scheme(options);
  products_ = std::make_unique<worker::ProductEngine>(*options.parameters,
                                                      remo::public_matrix_seed(), threads);
  loader_->for_each_linear(
      progress, [&](model::QuantizedLinear matrix) { products_->add(std::move(matrix)); });
  NoHints no_hints;
  auto rng = ChaChaRng::from_system(); // plain products draw nothing from it
  SilentProgress silent;
  for (const arch::Linear& linear : plan().linears) {
    const model::QuantizedLinear& held = products_->linear(linear.id.value);
    remo::LinearSpec spec;
    spec.matrix = linear.id.value;
    spec.name = linear.name;
    spec.d_in = held.d_in;
    spec.d_out = held.d_out;
    spec.columns = &held.columns;
    spec.scale = held.scale;
    spec.bias = tensors_.bias[linear.id.value];
    linears_.push_back(scheme->prepare(spec, no_hints, rng, silent));
  }
}

void DraftModel::make_layers(const model::EnclaveTensors& tensors) {
  // One thread: what a small model attends to is soon read, and the stages want theirs.
  const auto team = std::make_shared<enclave::AttentionTeam>(1);
  for (std::size_t index = 0; index < plan().layers.size(); ++index) {
    const arch::Layer& layer = plan().layers[index];
    LayerParts& parts = layers_.emplace_back();
    parts.plan = &layer;
    parts.gains = &tensors.gains[index];
    enclave::AttentionShape shape;
    shape.attention = layer.attention;
    const auto rope = shape.attention.rope;
    shape.heads = std::make_shared<const model::HeadPreparation>(
        shape.attention, *parts.gains, rope && plan().ropes[*rope].neighbours);
    shape.sinks = parts.gains->sinks;
    shape.layout = layout_;
    shape.layer = index;
    parts.attention = enclave::make_attention(std::move(shape), team);
    if (layer.attention.latent)
      parts.latent = std::make_unique<const model::LatentHeads>(layer.attention);
    if (layer.feed_forward.router)
      parts.mixture = std::make_unique<const model::Mixture>(layer.feed_forward, *parts.gains);
    if (layer.per_layer_input)
      parts.per_layer = std::make_unique<const model::PerLayerBlock>(
          *parts.gains, layer.per_layer_input->norm.eps);
  }
}

std::size_t DraftModel::weight_bytes() const {
  std::size_t bytes = products_->weight_bytes() + embeddings_->bytes().size();
  if (per_layer_embeddings_) bytes += per_layer_embeddings_->bytes().size();
  return bytes;
}

void DraftModel::forget(enclave::SequenceId sequence) {
  for (const LayerParts& parts : layers_) parts.attention->forget(sequence);
}

void DraftModel::read(const MicroBatch& batch) {
  run(batch);
}

std::vector<u32> DraftModel::guess(const MicroBatch& batch, u32 vocab) {
  const ClearTensor last =
      normed(last_rows(batch, run(batch)), tensors_.final_gain, plan().final_norm.eps);
  // A soft cap of logits changes none of their order.
  const ClearTensor logits = product(plan().linears.head(), last);
  std::vector<u32> tokens;
  for (std::size_t r = 0; r < logits->rows(); ++r)
    tokens.push_back(
        index_of_largest(logits->row(r), std::min<std::size_t>(vocab, logits->cols())));
  return tokens;
}

ClearTensor DraftModel::run(const MicroBatch& batch) {
  const model::RowPositions positions = positions_of(ropes_, batch);
  ClearTensor h = embed(*embeddings_, batch, plan().embedding_multiplier);
  const ClearTensor inputs = mixing_ ? per_layer_inputs(batch, h) : nullptr;
  for (std::size_t index = 0; index < layers_.size(); ++index)
    h = layer(layers_[index], index, batch, positions, std::move(h), inputs);
  return h;
}

ClearTensor DraftModel::embed(const model::EmbeddingTable& table, const MicroBatch& batch,
                              float multiplier) const {
  Matrix<float> rows(batch.rows, table.hidden(), Unwritten{});
  for (std::size_t r = 0; r < batch.rows; ++r) {
    const u32 token = batch.tokens[r];
    table.lookup(token < table.rows() ? token : 0, rows.row_span(r));
    for (float& value : rows.row_span(r)) value *= multiplier;
  }
  return share_clear(std::move(rows));
}

ClearTensor DraftModel::per_layer_inputs(const MicroBatch& batch, const ClearTensor& h) {
  const ClearTensor table = embed(*per_layer_embeddings_, batch, 1);
  const ClearTensor made = product(*plan().linears.begin(), h);
  SecretBuffer<float> projected(made->cols());
  Matrix<float> inputs(made->rows(), made->cols(), Unwritten{});
  for (std::size_t r = 0; r < made->rows(); ++r) {
    std::copy_n(made->row(r), made->cols(), projected.data());
    mixing_->mix(projected.data(), table->row(r), inputs.row(r));
  }
  return share_clear(std::move(inputs));
}

/// The steps of pipeline/graph.cpp, in its order.
ClearTensor DraftModel::layer(LayerParts& parts, std::size_t index, const MicroBatch& batch,
                              const model::RowPositions& positions, ClearTensor h,
                              const ClearTensor& inputs) {
  const arch::Layer& plan_of = *parts.plan;
  const ClearTensor x = plan_of.attention_norm
                            ? normed(h, parts.gains->attention_in, plan_of.attention_norm->eps)
                            : h;
  const ClearTensor mixed =
      share_clear(parts.attention->run(batch, *heads_of(parts, index, x), positions));
  const auto number = static_cast<u32>(index);
  h = into_residual(plan().linears.of(number, LinearKind::o), plan_of.attention_out_norm,
                    parts.gains->attention_out, 1, mixed, h);
  h = feed_forward(parts, index, std::move(h));
  if (!parts.per_layer) return h;
  const std::size_t width = parts.per_layer->width();
  Matrix<float> sum(h->rows(), h->cols(), Unwritten{});
  for (std::size_t r = 0; r < h->rows(); ++r)
    parts.per_layer->apply(h->row(r), inputs->row(r) + index * width, sum.row(r));
  return share_clear(std::move(sum));
}

/// q, k and v of rows whose normed input is x.
ClearTensor DraftModel::heads_of(const LayerParts& parts, std::size_t index, const ClearTensor& x) {
  const auto number = static_cast<u32>(index);
  ClearTensor first = product(plan().linears.of(number, LinearKind::qkv), x);
  if (!parts.latent) return first;
  Matrix<float> latent(x->rows(), parts.latent->latent_width(), Unwritten{});
  Matrix<float> kept(x->rows(), parts.latent->kept_width(), Unwritten{});
  for (std::size_t r = 0; r < x->rows(); ++r)
    parts.latent->split(first->row(r), latent.row(r), kept.row(r));
  const ClearTensor kept_rows = share_clear(std::move(kept));
  const ClearTensor made =
      product(plan().linears.of(number, LinearKind::heads), share_clear(std::move(latent)));
  Matrix<float> joined(x->rows(), parts.latent->joined_width(), Unwritten{});
  for (std::size_t r = 0; r < x->rows(); ++r)
    parts.latent->join(kept_rows->row(r), made->row(r), joined.row(r));
  return share_clear(std::move(joined));
}

ClearTensor DraftModel::feed_forward(const LayerParts& parts, std::size_t index, ClearTensor h) {
  const arch::Layer& plan_of = *parts.plan;
  const arch::FeedForward& shape = plan_of.feed_forward;
  const auto number = static_cast<u32>(index);
  const ClearTensor x = plan_of.feed_forward_norm ? normed(h, parts.gains->feed_forward_in,
                                                           plan_of.feed_forward_norm->eps)
                                                  : h;
  const ClearTensor gate_up = product(plan().linears.of(number, LinearKind::gate_up), x);
  Matrix<float> inner(x->rows(), shape.intermediate, Unwritten{});
  Matrix<float> sum(h->rows(), h->cols(), Unwritten{});
  std::copy_n(h->data(), h->rows() * h->cols(), sum.data());
  SecretBuffer<float> shares(parts.mixture ? parts.mixture->experts() : 0);
  for (std::size_t r = 0; r < x->rows(); ++r) {
    model::activate(shape, gate_up->row(r), inner.row(r));
    if (!parts.mixture) continue;
    parts.mixture->shares_of(x->row(r), x->cols(), shares.data());
    parts.mixture->apply(shares.data(), inner.row(r));
    if (parts.mixture->adds()) parts.mixture->add(shares.data(), sum.row(r));
  }
  const float scalar = parts.per_layer ? 1 : parts.gains->scalar; // else it comes behind that
  return into_residual(plan().linears.of(number, LinearKind::down), plan_of.feed_forward_out_norm,
                       parts.gains->feed_forward_out, scalar, share_clear(std::move(inner)),
                       share_clear(std::move(sum)));
}

ClearTensor DraftModel::into_residual(const arch::Linear& linear,
                                      const std::optional<arch::Norm>& norm,
                                      const std::vector<float>& gain, float scalar,
                                      const ClearTensor& x, const ClearTensor& h) {
  if (!norm) return product(linear, x, h);
  const ClearTensor out = normed(product(linear, x), gain, norm->eps);
  Matrix<float> sum(h->rows(), h->cols(), Unwritten{});
  for (std::size_t i = 0; i < h->rows() * h->cols(); ++i)
    sum.data()[i] = (h->data()[i] + out->data()[i]) * scalar;
  return share_clear(std::move(sum));
}

ClearTensor DraftModel::product(const arch::Linear& linear, const ClearTensor& x,
                                const ClearTensor& residual) {
  const remo::MaskedLinear& matrix = *linears_[linear.id.value];
  remo::Masked sent = matrix.mask(x->view(), {});
  remo::WorkerProduct given = products_->multiply(sent.tensor);
  Result<Matrix<float>> out =
      matrix.unmask(sent.opening, given, residual ? residual->view() : MatrixView<const float>());
  wipe_shared(sent.tensor.bytes);
  wipe_shared(given.bytes);
  if (!out) throw Error(out.error());
  return share_clear(*std::move(out));
}

} // namespace talaria::pipeline
