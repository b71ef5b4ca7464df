#include "pipeline/cluster_session.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "actors/actor_end.hpp"
#include "pipeline/weight_stream.hpp"

namespace talaria::pipeline {

/// Keys that workers gave, by node.
class OwnerKeys {
public:
  void take(u32 node, const SealKey& key) {
    const std::lock_guard lock(mutex_);
    keys_[node] = key;
  }
  std::optional<SealKey> first() const {
    const std::lock_guard lock(mutex_);
    return keys_.empty() ? std::nullopt : std::optional(keys_.begin()->second);
  }

private:
  mutable std::mutex mutex_;
  std::map<u32, SealKey> keys_;
};

namespace {

/// Digests of whole matrices are in the manifest of a prepared folder; those of parts are not.
void fill_known_digests(ClusterPlan& plan, const ModelLoader& loader) {
  for (auto& node : plan.nodes)
    for (auto& part : node.wanted.matrices)
      if (part.column_count == part.columns) part.digest = loader.known_digest({part.matrix});
}

std::shared_ptr<const transport::TlsContext> tls_of(const ClusterOptions& options) {
  if (options.tls.cert.empty())
    return std::make_shared<const transport::TlsContext>(
        transport::EphemeralIdentity{options.tls.ca, options.enclave_name});
  return std::make_shared<const transport::TlsContext>(options.tls, transport::End::enclave);
}

void give_evidence(ClusterPlan& plan, const ClusterOptions& options, const ModelLoader& loader) {
  if (loader.files() == nullptr)
    throw Error(Errc::config, "serve.attestation: evidence names the model's files, and this model "
                              "has none");
  const transport::GiveEvidence give = options.evidence(loader.files()->root());
  for (auto& node : plan.nodes) {
    node.evidence = give;
    node.wanted.attests = true;
  }
}

} // namespace

ClusterSession::ClusterSession(caf::actor_system& system, const ClusterOptions& options,
                               const ModelLoader& loader, const remo::LatticeParameters& parameters,
                               telemetry::Tracer* tracer)
    : loader_(loader), ready_(options.ready),
      plan_(plan_cluster(options, loader.plan(), loader.format(), parameters)),
      owner_keys_(std::make_shared<OwnerKeys>()), self_(system) {
  for (u32 i = 0; i < plan_.nodes.size(); ++i)
    plan_.nodes[i].take_owner_key = [keys = owner_keys_, i](const SealKey& key) {
      keys->take(i, key);
    };
  fill_known_digests(plan_, loader);
  if (options.evidence) give_evidence(plan_, options, loader);
  cluster::DispatcherOptions dispatcher;
  dispatcher.nodes = plan_.nodes;
  dispatcher.plan = plan_.placement;
  dispatcher.policy = options.policy;
  dispatcher.tls = tls_of(options);
  dispatcher.log = options.log;
  dispatcher.tracer = tracer;
  dispatcher_ = cluster::spawn_dispatcher(system, std::move(dispatcher));
}

void ClusterSession::await_ready() {
  ask_until_it_ends<cluster::Ready>(self_->system(), dispatcher_, cluster::AwaitReady{ready_});
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
  const arch::Linear& linear = loader_.plan().linears.at(id);
  model::WeightAssembler assembler(linear.name, id, loader_.format(), linear.d_in, linear.d_out);
  auto streamed = stream_weights(
      std::move(assembler), plan_.placement[id.value], *loader_.known_digest(id),
      [this](const remo::WeightRequest& request, std::optional<u32> from) {
        return panels(request, from);
      },
      [this](u32 node) { return describe(node); });
  distrust(id.value, streamed.liars, "its weights are not those of the manifest");
  streamed.linear.scale = loader_.scale(id);
  return std::move(streamed.linear);
}

/// Waits as long as the dispatcher lives, which gives up by its own deadlines.
cluster::SentPanels ClusterSession::panels(const remo::WeightRequest& request,
                                           std::optional<u32> from) {
  return ask_until_it_ends<cluster::SentPanels>(self_->system(), dispatcher_,
                                                cluster::FetchPanels{request, from});
}

std::string ClusterSession::describe(u32 node) const {
  const auto& settings = plan_.nodes[node];
  return "worker '" + settings.name + "' (" + transport::to_string(settings.address) + ")";
}

void ClusterSession::distrust(u32 matrix, const std::set<u32>& nodes, const std::string& why) {
  for (const u32 node : nodes) self_->send(dispatcher_, cluster::Discredit{matrix, node, why});
  liars_.insert(nodes.begin(), nodes.end());
}

std::vector<std::size_t> ClusterSession::cuts(u32 matrix) const {
  std::vector<std::size_t> cuts;
  for (const cluster::Shard& shard : plan_.placement[matrix].shards)
    cuts.push_back(shard.first_column);
  return cuts;
}

void ClusterSession::discredit(u32 matrix, const std::vector<u32>& answered_by,
                               const remo::WrongHint& wrong) {
  std::set<u32> suspects;
  for (std::size_t s = 0; s < answered_by.size(); ++s)
    if (wrong.shards.empty() || wrong.shards.contains(s)) suspects.insert(answered_by[s]);
  std::string text = std::string(wrong.what()) + "; it came from";
  for (const u32 node : suspects) text += " " + describe(node);
  if (suspects.empty() || (wrong.shards.empty() && suspects.size() > 1))
    throw Error(Errc::verification, suspects.empty() ? wrong.what() : text);
  distrust(matrix, suspects, "its hint fails the check");
  for (const cluster::Shard& shard : plan_.placement[matrix].shards)
    if (std::all_of(shard.holders.begin(), shard.holders.end(),
                    [this](const auto& holder) { return liars_.contains(holder.node); }))
      throw Error(Errc::verification, text + ", and no other worker holds it");
}

std::optional<SealKey> ClusterSession::owner_key() const {
  return owner_keys_->first();
}

cluster::ClusterHealth ClusterSession::health() {
  return ask_until_it_ends<cluster::ClusterHealth>(self_->system(), dispatcher_,
                                                   cluster::AskHealth{});
}

} // namespace talaria::pipeline
