// Rounds behind the end of an answer carry a row of padding, which attends to nothing, in the place
// of a row of the answer: what padding did before.
#include <algorithm>
#include <memory>

#include "tests/audit/seeded_bug.hpp"

#define build_graph honest_build_graph
#include "pipeline/graph.cpp"
#undef build_graph

const char* const talaria::tests::kCaughtBy = "rounds";

namespace talaria::pipeline {

namespace {

enclave::EmbedStage::behavior_type idle_entrance(enclave::EmbedStage::pointer self,
                                                 enclave::EmbedStage honest) {
  return {[self, honest](const enclave::Admit& admit) {
    const auto& segments = admit.batch->segments;
    const bool idle = std::all_of(segments.begin(), segments.end(),
                                  [](const enclave::Segment& segment) { return segment.dummy; });
    if (!idle) return self->send(honest, admit);
    auto batch = std::make_shared<enclave::MicroBatch>();
    batch->id = admit.batch->id;
    batch->rows = admit.batch->rows;
    batch->padding = admit.batch->rows;
    batch->head_padding = admit.batch->head_rows();
    self->send(honest, enclave::Admit{{}, batch, admit.sent});
  }};
}

} // namespace

Graph build_graph(caf::actor_system& system, const GraphParts& parts,
                  const enclave::Overseer& overseer) {
  Graph graph = honest_build_graph(system, parts, overseer);
  graph.wiring.entrance = system.spawn(idle_entrance, graph.wiring.entrance);
  graph.stages.push_back({"entrance", caf::actor_cast<caf::actor>(graph.wiring.entrance)});
  return graph;
}

} // namespace talaria::pipeline
