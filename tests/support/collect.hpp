#pragma once

#include <future>
#include <memory>
#include <vector>

#include "pipeline/engine.hpp"

namespace talaria::tests {

/// Everything one request produced.
struct Collected {
  pipeline::Completion completion;
  std::vector<std::vector<float>> logits; ///< by position, as asked for
};

/// Submits all requests at once, so that they share micro-batches, and waits for the last.
inline std::vector<Collected> run_together(pipeline::Engine& engine,
                                           const std::vector<pipeline::Request>& requests) {
  struct Sink final : pipeline::RequestSink {
    Collected collected;
    std::promise<void> done;
    void logits(u32, MatrixView<const float> rows) override {
      for (std::size_t r = 0; r < rows.rows; ++r)
        collected.logits.emplace_back(rows.row(r), rows.row(r) + rows.cols);
    }
    void finished(pipeline::Completion completion) override {
      collected.completion = std::move(completion);
      done.set_value();
    }
  };
  std::vector<std::shared_ptr<Sink>> sinks;
  for (const auto& request : requests) {
    sinks.push_back(std::make_shared<Sink>());
    engine.submit(request, sinks.back());
  }
  std::vector<Collected> out;
  for (const auto& sink : sinks) {
    sink->done.get_future().wait();
    if (sink->collected.completion.error) throw *sink->collected.completion.error;
    out.push_back(std::move(sink->collected));
  }
  return out;
}

} // namespace talaria::tests
