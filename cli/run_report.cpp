#include "cli/run_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "cli/worker_json.hpp"
#include "core/console.hpp"

namespace talaria::cli {

using nlohmann::json;

namespace {

json answer_json(const std::vector<u32>& prompt, const pipeline::Completion& c,
                 const std::string& scheme) {
  json out{{"text", c.text},
           {"token_ids", c.tokens},
           {"prompt_token_ids", prompt},
           {"finish_reason", pipeline::to_string(c.reason)},
           {"scheme", scheme},
           {"trace_id", fmt::format("{:016x}", c.trace)},
           {"timings",
            {{"ttft_ms", c.timings.ttft_ms},
             {"prefill_tokens_per_s", c.timings.prefill_tokens_per_s},
             {"decode_tokens_per_s", c.timings.decode_tokens_per_s}}}};
  if (c.error) out["error"] = {{"code", to_string(c.error->code())}, {"message", c.error->what()}};
  return out;
}

std::string human_bytes(u64 bytes) {
  constexpr const char* kUnits[] = {"B", "KB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : 1, kUnits[unit]);
}

/// The first values of the last tensor that the worker was shown, as it saw them.
std::string worker_sample(const remo::MaskedTensor& seen,
                          const remo::LatticeParameters& parameters) {
  constexpr std::size_t kShown = 4;
  if (!seen.bytes || seen.rows == 0) return "nothing";
  std::string out;
  const std::size_t shown = std::min<std::size_t>(kShown, seen.cols);
  for (std::size_t i = 0; i < shown; ++i) {
    if (seen.kind == remo::ProductKind::float32) {
      float value = 0;
      std::memcpy(&value, seen.bytes->data() + i * sizeof value, sizeof value);
      out += fmt::format("{:+.4f}  ", value);
    } else {
      const remo::WordFormat words =
          remo::is_rounded(seen.kind) ? parameters.rounded_words() : parameters.full_words();
      const std::size_t bytes = words.word_bytes();
      out += fmt::format(
          "{:0{}x} ", kernels::load_word(seen.bytes->data() + i * bytes, words.modulus.word_bytes),
          2 * bytes);
    }
  }
  return out + "...";
}

pipeline::WorkerReport total(const std::vector<pipeline::WorkerReport>& workers) {
  pipeline::WorkerReport sum;
  for (const auto& worker : workers) {
    sum.requests += worker.requests;
    sum.rows += worker.rows;
    sum.bytes_in += worker.bytes_in;
    sum.bytes_out += worker.bytes_out;
  }
  return sum;
}

} // namespace

json to_json(const RunReport& report) {
  const std::string scheme = remo::to_string(report.options.scheme.kind);
  const pipeline::WorkerReport totals = total(report.workers);
  json workers = json::array();
  for (const auto& worker : report.workers) workers.push_back(worker_json(worker));
  json shared{{"bytes", {{"up", totals.bytes_in}, {"down", totals.bytes_out}}},
              {"masks",
               {{"made_ahead", report.masks.rows_made_ahead},
                {"made_inline", report.masks.rows_made_inline},
                {"stalls", report.masks.stalls}}},
              {"padding",
               {{"rows", report.padding.rows},
                {"dummy_rows", report.padding.dummy_rows},
                {"dummy_rounds", report.padding.dummy_rounds},
                {"late_rounds", report.padding.late_rounds}}},
              {"speculation",
               {{"rounds", report.drafts.rounds},
                {"drafted", report.drafts.drafted},
                {"accepted", report.drafts.accepted},
                {"of_model",
                 {{"rounds", report.drafts_of_model.rounds},
                  {"drafted", report.drafts_of_model.drafted},
                  {"accepted", report.drafts_of_model.accepted}}}}},
              {"oblivious", report.options.oblivious ? "on" : "off"},
              {"workers", std::move(workers)}};
  json out;
  if (report.completions.size() == 1) {
    out = answer_json(report.prompts.front(), report.completions.front(), scheme);
  } else {
    out["scheme"] = scheme;
    out["results"] = json::array();
    for (std::size_t i = 0; i < report.completions.size(); ++i)
      out["results"].push_back(answer_json(report.prompts[i], report.completions[i], scheme));
  }
  out.update(shared);
  return out;
}

void print_account(const RunReport& report) {
  std::size_t tokens = 0;
  std::size_t prompt_tokens = 0;
  for (std::size_t i = 0; i < report.completions.size(); ++i) {
    tokens += report.completions[i].tokens.size();
    prompt_tokens += report.prompts[i].size();
  }
  const auto& first = report.completions.front().timings;
  const pipeline::WorkerReport totals = total(report.workers);
  const auto& scheme = report.options.scheme;
  std::string parameters;
  if (scheme.kind == remo::SchemeKind::lattice)
    parameters =
        fmt::format(" {} ({:.0f} bits classical, {:.0f} quantum core-SVP)", scheme.parameters->name,
                    scheme.parameters->core_svp_bits, scheme.parameters->quantum_core_svp_bits);
  print_log("\n  scheme    {}{}", remo::to_string(scheme.kind), parameters);
  print_log("  tokens    {} in, {} out; first after {:.0f} ms, then {:.0f} tokens/s", prompt_tokens,
            tokens, first.ttft_ms, first.decode_tokens_per_s);
  print_log("  wire      {} up, {} down in {} requests of {} rows", human_bytes(totals.bytes_in),
            human_bytes(totals.bytes_out), totals.requests, totals.rows);
  print_log("  masks     {} rows made ahead, {} inline", report.masks.rows_made_ahead,
            report.masks.rows_made_inline);
  if (report.options.batch.drafts > 0)
    print_log("  drafts    {} of {} were right, in {} rounds", report.drafts.accepted,
              report.drafts.drafted, report.drafts.rounds);
  if (report.options.draft_model.is_set())
    print_log("            {} of {} of the model's, in {} rounds", report.drafts_of_model.accepted,
              report.drafts_of_model.drafted, report.drafts_of_model.rounds);
  if (report.options.oblivious)
    print_log("  oblivious look-ups and sampling hide tokens from the enclave's host");
  if (report.options.padding.is_on())
    print_log("  padding   {} of {} rows are dummies, {} of them rounds after an answer; "
              "{} rounds late",
              report.padding.dummy_rows, report.padding.rows, report.padding.dummy_rounds,
              report.padding.late_rounds);
  print_log("  worker saw this last, the beginning of {} x {} values:\n            {}",
            report.last_seen.rows, report.last_seen.cols,
            worker_sample(report.last_seen, *scheme.parameters));
}

void print_batch_answer(std::size_t number, const pipeline::Completion& completion) {
  print_out("[{}] {}\n", number, completion.text);
}

int exit_status_of(const std::vector<pipeline::Completion>& completions) {
  for (const auto& completion : completions) {
    if (completion.error) {
      print_log("talaria: {}", completion.error->what());
      return exit_status(completion.error->code());
    }
    if (completion.reason == pipeline::FinishReason::cancelled) {
      print_log("talaria: interrupted");
      return exit_status(Errc::cancelled);
    }
  }
  return 0;
}

} // namespace talaria::cli
