#include "pipeline/cluster_session.hpp"

#include <algorithm>
#include <set>

#include "actors/errors.hpp"

namespace talaria::pipeline {

namespace {

/// Digests of whole matrices are in the manifest of a prepared folder; those of parts are not.
void fill_known_digests(ClusterPlan& plan, const ModelLoader& loader) {
  for (auto& node : plan.nodes)
    for (auto& part : node.wanted.matrices)
      if (part.column_count == part.columns) part.digest = loader.known_digest({part.matrix});
}

} // namespace

ClusterSession::ClusterSession(caf::actor_system& system, const ClusterOptions& options,
                               const ModelLoader& loader, const remo::LatticeParameters& parameters,
                               telemetry::Tracer* tracer)
    : loader_(loader), ready_(options.ready),
      plan_(plan_cluster(options, loader.config(), loader.format(), parameters)), self_(system) {
  fill_known_digests(plan_, loader);
  cluster::DispatcherOptions dispatcher;
  dispatcher.nodes = plan_.nodes;
  dispatcher.plan = plan_.placement;
  dispatcher.policy = options.policy;
  dispatcher.tls =
      std::make_shared<const transport::TlsContext>(options.tls, transport::End::enclave);
  dispatcher.log = options.log;
  dispatcher.tracer = tracer;
  dispatcher_ = cluster::spawn_dispatcher(system, std::move(dispatcher));
}

void ClusterSession::await_ready() {
  self_->request(dispatcher_, caf::infinite, cluster::AwaitReady{ready_})
      .receive([](const cluster::Ready&) {}, [](caf::error& error) { throw from_caf(error); });
}

model::QuantizedLinear ClusterSession::load(model::LinearId id) {
  model::QuantizedLinear linear = loader_.has_weights() ? loader_.load(id) : stream(id);
  expect(linear);
  return linear;
}

void ClusterSession::expect(const model::QuantizedLinear& linear) {
  cluster::Expected expected;
  for (const auto& node : plan_.nodes)
    for (transport::HeldMatrix part : node.wanted.matrices) {
      if (part.matrix != linear.id.value) continue;
      const bool known =
          std::any_of(expected.parts.begin(), expected.parts.end(), [&part](const auto& other) {
            return other.first_column == part.first_column &&
                   other.column_count == part.column_count;
          });
      if (known) continue;
      part.digest = model::digest_of_part(linear, {part.first_column, part.column_count});
      expected.parts.push_back(part);
    }
  self_->send(dispatcher_, std::move(expected));
}

model::QuantizedLinear ClusterSession::stream(model::LinearId id) {
  constexpr std::size_t kChunkBytes = std::size_t{4} << 20;
  const model::ModelConfig& config = loader_.config();
  const auto kind = model::linear_kind(config, id);
  model::WeightAssembler assembler(model::linear_name(config, id), id, loader_.format(),
                                   model::linear_inputs(config, kind),
                                   model::linear_outputs(config, kind));
  const auto chunk = std::max<std::size_t>(1, kChunkBytes / assembler.panel_bytes());
  while (assembler.next_panel() < assembler.panels()) {
    const auto left = assembler.panels() - assembler.next_panel();
    const auto part = panels({id.value, static_cast<u32>(assembler.next_panel()),
                              static_cast<u32>(std::min(chunk, left))});
    assembler.add(part.first, part.count, part.bytes->span());
  }
  model::QuantizedLinear linear = assembler.finish(*loader_.known_digest(id));
  linear.scale = loader_.scale(id);
  return linear;
}

remo::WeightPanels ClusterSession::panels(const remo::WeightRequest& request) {
  remo::WeightPanels panels;
  self_->request(dispatcher_, caf::infinite, request)
      .receive([&](remo::WeightPanels& answer) { panels = std::move(answer); },
               [](caf::error& error) { throw from_caf(error); });
  return panels;
}

bool ClusterSession::discredit(u32 matrix, const std::vector<u32>& nodes) {
  const std::set<u32> distinct(nodes.begin(), nodes.end());
  if (distinct.size() != 1) return false;
  self_->send(dispatcher_, cluster::Discredit{matrix, *distinct.begin()});
  return true;
}

cluster::ClusterHealth ClusterSession::health() {
  cluster::ClusterHealth health;
  self_->request(dispatcher_, caf::infinite, cluster::AskHealth{})
      .receive([&](cluster::ClusterHealth& answer) { health = std::move(answer); },
               [](caf::error& error) { throw from_caf(error); });
  return health;
}

} // namespace talaria::pipeline
