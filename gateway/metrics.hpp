#pragma once

#include <memory>
#include <string>

#include "gateway/admission.hpp"
#include "pipeline/engine.hpp"

namespace talaria::gateway {

/// What Prometheus is told. Figures that mean the same as vLLM's have vLLM's names; those about
/// workers and masks begin with talaria_. Counts and times only, nothing of any content.
/// Thread-safe.
class Metrics {
public:
  /// `engine` and `admission` are asked whenever text() is called and must outlive this object.
  /// @param coarse  nothing tells the number of tokens of one answer more closely than to 256, and
  ///                nothing which rows were dummies: for masking.padding
  Metrics(const pipeline::Engine& engine, const Admission& admission, const std::string& model,
          bool coarse = false);
  ~Metrics();

  /// An answer has ended.
  /// @param queued_s   seconds from the request's arrival to its submission
  /// @param latency_s  seconds from the request's arrival to now
  void answered(const pipeline::Completion& completion, std::size_t prompt_tokens, double queued_s,
                double latency_s);
  /// An HTTP request has been answered. `path` must be one of few.
  void responded(const std::string& path, int status);
  /// This server gives evidence; `simulated`: such as proves nothing. Once, before text().
  void attested(bool simulated);

  /// All metrics in Prometheus' text format 0.0.4.
  std::string text() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace talaria::gateway
