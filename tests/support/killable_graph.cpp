#include "tests/support/killable_graph.hpp"

#include <map>
#include <stdexcept>

#define build_graph honest_build_graph
#include "pipeline/graph.cpp"
#undef build_graph

namespace talaria::tests {

std::atomic<u64> throws_at{0};

namespace {

std::map<std::string, caf::actor_addr>& stages_by_name() {
  static std::map<std::string, caf::actor_addr> map;
  return map;
}

enclave::EmbedStage::behavior_type throwing_entrance(enclave::EmbedStage::pointer self,
                                                     enclave::EmbedStage honest) {
  name_exceptions_by_kind(self);
  return {[self, honest](const enclave::Admit& admit) {
    if (admit.batch->id == throws_at) throw std::logic_error(kSecretText);
    self->send(honest, admit);
  }};
}

} // namespace

void kill_stage(const std::string& name) {
  if (const auto actor = caf::actor_cast<caf::actor>(stages_by_name().at(name)))
    caf::anon_send(
        actor, caf::exit_msg{actor.address(), to_caf(Error(Errc::internal, "killed by the test"))});
}

std::vector<std::string> killable() {
  std::vector<std::string> names;
  for (const auto& [name, actor] : stages_by_name()) names.push_back(name);
  return names;
}

} // namespace talaria::tests

namespace talaria::pipeline {

Graph build_graph(caf::actor_system& system, const GraphParts& parts,
                  const enclave::Overseer& overseer) {
  Graph graph = honest_build_graph(system, parts, overseer);
  graph.wiring.entrance = system.spawn(tests::throwing_entrance, graph.wiring.entrance);
  graph.stages.push_back({"entrance", caf::actor_cast<caf::actor>(graph.wiring.entrance)});
  auto& known = tests::stages_by_name();
  known.clear();
  known["scheduler"] = caf::actor_cast<caf::actor_addr>(overseer);
  for (const Graph::Stage& stage : graph.stages)
    known[stage.name] = caf::actor_cast<caf::actor_addr>(stage.actor);
  return graph;
}

} // namespace talaria::pipeline
