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

std::shared_ptr<const transport::TlsContext> tls_of(const ClusterOptions& options) {
  if (options.tls.cert.empty())
    return std::make_shared<const transport::TlsContext>(
        transport::EphemeralIdentity{options.tls.ca, options.enclave_name});
  return std::make_shared<const transport::TlsContext>(options.tls, transport::End::enclave);
}

transport::GiveEvidence evidence_of(const ClusterOptions& options, const ModelLoader& loader) {
  if (!options.evidence) return {};
  if (loader.files() == nullptr)
    throw Error(Errc::config, "serve.attestation: evidence names the model's files, and this model "
                              "has none");
  return options.evidence(loader.files()->root());
}

/// Whether one link serves both: the same worker, which holds the same.
bool same_worker(const ClusterNode& a, const ClusterNode& b) {
  return a.name == b.name && a.address == b.address && a.tls_name == b.tls_name &&
         a.layers.first == b.layers.first && a.layers.last == b.layers.last &&
         a.share.index == b.share.index && a.share.count == b.share.count;
}

bool same_policy(const cluster::FaultPolicy& a, const cluster::FaultPolicy& b) {
  return a.deadline == b.deadline && a.request_deadline == b.request_deadline &&
         a.retries == b.retries;
}

} // namespace

ClusterSession::ClusterSession(caf::actor_system& system, ClusterOptions options,
                               const ModelLoader& loader, const remo::LatticeParameters& parameters,
                               telemetry::Tracer* tracer)
    : loader_(loader), options_(std::move(options)), parameters_(parameters),
      evidence_(evidence_of(options_, loader)), plan_(plan_of(options_.nodes)),
      policy_(options_.policy), owner_keys_(std::make_shared<OwnerKeys>()), self_(system) {
  for (u32 i = 0; i < options_.nodes.size(); ++i) members_.push_back({i, options_.nodes[i]});
  complete(plan_.nodes, 0);
  cluster::DispatcherOptions dispatcher;
  dispatcher.nodes = plan_.nodes;
  dispatcher.plan = plan_.placement;
  dispatcher.policy = policy_;
  dispatcher.tls = tls_of(options_);
  dispatcher.log = options_.log;
  dispatcher.tracer = tracer;
  dispatcher_ = cluster::spawn_dispatcher(system, std::move(dispatcher));
}

ClusterPlan ClusterSession::plan_of(const std::vector<ClusterNode>& nodes) const {
  ClusterOptions options = options_;
  options.nodes = nodes;
  return plan_cluster(options, loader_.plan(), loader_.format(), parameters_);
}

/// What a plan does not say. Digests of whole matrices are in the manifest of a prepared folder;
/// those of parts are not.
void ClusterSession::complete(std::vector<cluster::NodeSettings>& nodes, u32 first_number) const {
  for (u32 i = 0; i < nodes.size(); ++i) {
    nodes[i].take_owner_key = [keys = owner_keys_, n = first_number + i](const SealKey& key) {
      keys->take(n, key);
    };
    for (auto& part : nodes[i].wanted.matrices)
      if (part.column_count == part.columns) part.digest = loader_.known_digest({part.matrix});
    nodes[i].evidence = evidence_;
    nodes[i].wanted.attests = evidence_ != nullptr;
  }
}

void ClusterSession::await_ready() {
  ask_until_it_ends<cluster::Ready>(self_->system(), dispatcher_,
                                    cluster::AwaitReady{options_.ready});
}

model::QuantizedLinear ClusterSession::load(model::LinearId id) {
  model::QuantizedLinear linear = weights_of(id);
  expect(linear);
  return linear;
}

model::QuantizedLinear ClusterSession::weights_of(model::LinearId id) {
  return loader_.has_weights() ? loader_.load(id) : stream(id);
}

/// Of those parts of the matrix that `nodes` hold.
void ClusterSession::keep_digests(const model::QuantizedLinear& linear,
                                  const std::vector<cluster::NodeSettings>& nodes) {
  for (const auto& node : nodes)
    for (const transport::HeldMatrix& part : node.wanted.matrices) {
      if (part.matrix != linear.id.value) continue;
      const auto [entry, is_new] = digests_.try_emplace(
          PartKey{part.matrix, part.first_column, part.column_count}, Sha256Digest{});
      if (is_new)
        entry->second = model::digest_of_part(linear, {part.first_column, part.column_count});
    }
}

void ClusterSession::expect(const model::QuantizedLinear& linear) {
  keep_digests(linear, plan_.nodes);
  cluster::Expected expected;
  std::set<PartKey> told;
  for (const auto& node : plan_.nodes)
    for (transport::HeldMatrix part : node.wanted.matrices) {
      const PartKey key{part.matrix, part.first_column, part.column_count};
      if (part.matrix != linear.id.value || !told.insert(key).second) continue;
      part.digest = digests_.at(key);
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

// --- workers that come and go
// ---------------------------------------------------------------------

std::vector<ClusterNode> ClusterSession::members() const {
  std::vector<ClusterNode> nodes;
  for (const Member& member : members_) nodes.push_back(member.node);
  return nodes;
}

void ClusterSession::check(const std::vector<ClusterNode>& nodes) const {
  plan_of(nodes);
}

/// Those that are members keep their number; others get new ones, also if they were members before:
/// their link may be about to end.
std::vector<ClusterSession::Member>
ClusterSession::numbered(const std::vector<ClusterNode>& nodes) const {
  std::vector<Member> all;
  u32 next = static_cast<u32>(plan_.nodes.size());
  for (const ClusterNode& node : nodes) {
    const auto found = std::find_if(members_.begin(), members_.end(), [&](const Member& member) {
      return same_worker(member.node, node);
    });
    all.push_back({found == members_.end() ? next++ : found->number, node});
  }
  return all;
}

cluster::PlacementPlan ClusterSession::placement_of(const std::vector<Member>& members) const {
  std::vector<ClusterNode> nodes;
  for (const Member& member : members) nodes.push_back(member.node);
  cluster::PlacementPlan placement = plan_of(nodes).placement;
  for (cluster::MatrixPlan& matrix : placement)
    for (cluster::Shard& shard : matrix.shards)
      for (cluster::Holder& holder : shard.holders) holder.node = members[holder.node].number;
  return placement;
}

/// A worker is used only when this side knows what it must hold. A part that somebody held before
/// is known; otherwise its matrix is looked at once more.
void ClusterSession::learn_digests(std::vector<cluster::NodeSettings>& nodes) {
  std::set<u32> unknown;
  for (const auto& node : nodes)
    for (const auto& part : node.wanted.matrices)
      if (part.digest)
        digests_.emplace(PartKey{part.matrix, part.first_column, part.column_count}, *part.digest);
      else if (!digests_.contains({part.matrix, part.first_column, part.column_count}))
        unknown.insert(part.matrix);
  for (const u32 matrix : unknown) keep_digests(weights_of({matrix}), nodes);
  for (auto& node : nodes)
    for (auto& part : node.wanted.matrices)
      part.digest = digests_.at({part.matrix, part.first_column, part.column_count});
}

void ClusterSession::forget_who_left() {
  if (leaving_.empty()) return;
  const std::set<u32> left = health().left;
  std::erase_if(leaving_, [&](const Member& member) { return left.contains(member.number); });
}

bool ClusterSession::reshape(const std::vector<ClusterNode>& nodes,
                             const cluster::FaultPolicy& policy) {
  forget_who_left();
  std::vector<Member> next = numbered(nodes);
  cluster::Reshape news;
  news.policy = policy;
  news.next = placement_of(next);
  const std::vector<cluster::NodeSettings> settings = plan_of(nodes).nodes;
  for (std::size_t i = 0; i < next.size(); ++i) {
    news.members.insert(next[i].number);
    if (next[i].number >= plan_.nodes.size()) news.joined.push_back(settings[i]);
  }
  std::vector<Member> leaving = leaving_;
  for (const Member& member : members_)
    if (!news.members.contains(member.number)) leaving.push_back(member);
  std::vector<Member> all = next;
  for (Member member : leaving) {
    member.node.replica = true;
    member.node.equals = 0;
    all.push_back(member);
  }
  news.meanwhile = placement_of(all);
  const bool roles_differ = !std::equal(
      next.begin(), next.end(), members_.begin(), members_.end(), [](const auto& a, const auto& b) {
        return a.number == b.number && a.node.replica == b.node.replica &&
               a.node.equals == b.node.equals;
      });
  if (!roles_differ && same_policy(policy, policy_)) return false;
  complete(news.joined, static_cast<u32>(plan_.nodes.size()));
  learn_digests(news.joined);

  const auto tell = [this](u32 node, const char* what) {
    if (options_.log) options_.log(describe(node) + what);
  };
  const auto before = static_cast<u32>(plan_.nodes.size());
  plan_.nodes.insert(plan_.nodes.end(), news.joined.begin(), news.joined.end());
  for (u32 n = before; n < plan_.nodes.size(); ++n) tell(n, " joins");
  for (const Member& member : members_)
    if (!news.members.contains(member.number))
      tell(member.number, " leaves as soon as others are ready for all that it holds");
  plan_.placement = news.meanwhile;
  policy_ = policy;
  members_ = std::move(next);
  leaving_ = std::move(leaving);
  caf::anon_send(dispatcher_, std::move(news));
  return true;
}

cluster::ClusterHealth ClusterSession::health() {
  return ask_until_it_ends<cluster::ClusterHealth>(self_->system(), dispatcher_,
                                                   cluster::AskHealth{});
}

} // namespace talaria::pipeline
