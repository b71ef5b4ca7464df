#pragma once

#include <memory>
#include <string>

#include "gateway/admission.hpp"
#include "gateway/token_times.hpp"
#include "pipeline/engine.hpp"
#include "telemetry/otlp_exporter.hpp"

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

  /// What an answer was asked for, and how long it took.
  struct AnswerFacts {
    std::size_t prompt_tokens = 0;
    u32 max_tokens = 0;   ///< asked for
    u32 answers = 1;      ///< of the same request
    double queued_s = 0;  ///< from the request's arrival to its submission
    double latency_s = 0; ///< from the request's arrival to now
  };
  /// An answer has ended.
  void answered(const pipeline::Completion& completion, const AnswerFacts& facts);
  /// What hears of the times between tokens, also after the end of this object; empty if nobody may
  /// count them.
  TokenTimes::Between between_tokens() const;
  /// An HTTP request has been answered. `path` must be one of few.
  void responded(const std::string& path, int status);
  /// This server gives evidence; `simulated`: such as proves nothing. Once, before text().
  void attested(bool simulated);
  /// This server signs receipts, which are counted from now on. Once, before text().
  void signs_receipts();
  /// A receipt has been signed.
  void receipt_signed();
  /// The version of this program. Once, before text().
  void built(const std::string& version);

  /// Tokens of all answers so far, as the counters tell them.
  struct Totals {
    double prompt_tokens = 0;
    double generation_tokens = 0;
  };
  Totals totals() const;

  /// All metrics in Prometheus' text format 0.0.4.
  std::string text() const;
  /// The same for an OpenTelemetry collector.
  std::vector<telemetry::OtlpMetric> figures() const;
  /// Spans and figures go to a collector too, which text() then tells of. Once, before text().
  void exported_by(std::shared_ptr<const telemetry::OtlpExporter> exporter);

private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

} // namespace talaria::gateway
