#include "cli/bench_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/expert_figures.hpp"
#include "core/console.hpp"

namespace talaria::cli {

using nlohmann::json;

namespace {

json or_null(const std::optional<double>& value) {
  return value ? json(*value) : json(nullptr);
}

std::string ratio(const std::optional<double>& value) {
  return value ? fmt::format("{:.2f}", *value) : "-";
}

std::string percent(const std::optional<double>& value) {
  return value ? fmt::format("{:.0f} %", 100 * *value) : "-";
}

json result_json(const BenchReport& report, const BenchResult& r) {
  const BenchShares shares = shares_of(report, r);
  return {{"scheme", r.scheme},
          {"worker", r.embedded ? "embedded" : "cluster"},
          {"batch", r.batch},
          {"prefill_tokens_per_s", r.prefill_tokens_per_s},
          {"decode_tokens_per_s", r.decode_tokens_per_s},
          {"ttft_ms", r.ttft_ms},
          {"prefill_over_plain", or_null(shares.prefill_over_plain)},
          {"decode_over_plain", or_null(shares.decode_over_plain)},
          {"prefill_cpu_ms_per_token", r.prefill_cpu_ms},
          {"decode_cpu_ms_per_token", r.decode_cpu_ms},
          {"prefill_cpu_over_plain", or_null(shares.prefill_cpu_over_plain)},
          {"decode_cpu_over_plain", or_null(shares.decode_cpu_over_plain)},
          {"prefill_enclave_cpu_ms_per_token", r.prefill_enclave_ms},
          {"decode_enclave_cpu_ms_per_token", r.decode_enclave_ms},
          {"prefill_enclave_over_plain", or_null(shares.prefill_enclave_over_plain)},
          {"decode_enclave_over_plain", or_null(shares.decode_enclave_over_plain)},
          {"bytes_up_per_token", r.bytes.up},
          {"bytes_down_per_token", r.bytes.down},
          {"mask_stalls", r.mask_stalls},
          {"mask_ns_per_value", r.mask_ns_per_value},
          {"weight_bytes_per_token", shares.weight_bytes_per_token},
          {"operations_per_token", shares.operations_per_token},
          {"decode_share_of_read_bandwidth", or_null(shares.read_share)},
          {"decode_share_of_int8_rate", or_null(shares.decode_int8_share)},
          {"prefill_share_of_int8_rate", or_null(shares.prefill_int8_share)}};
}

/// Whether decoding waited for masks, in words.
std::string stall_line(const BenchReport& report) {
  std::string stalled;
  for (const BenchResult& r : report.results)
    if (r.mask_stalls > 0)
      stalled += fmt::format("{}{} at batch {} ({} times)", stalled.empty() ? "" : ", ", r.scheme,
                             r.batch, r.mask_stalls);
  return stalled.empty() ? "decoding never waited for masks"
                         : "decoding waited for masks: " + stalled;
}

void print_head(const BenchReport& report) {
  const BenchModel& model = report.model;
  const MachineFigures& machine = report.machine;
  print_out("{}, {} layers, {} weights ({:.2f} GB), parameters {} (hints {:.2f} GB)\n", model.name,
            model.layers, model.weights, static_cast<double>(model.weight_bytes) / 1e9,
            report.parameters, static_cast<double>(report.hint_bytes) / 1e9);
  print_out("machine: {} kernels, {} threads, reads {:.1f} GB/s, plain int8 products {:.0f} "
            "GOPS\n",
            machine.kernels, machine.threads, machine.read_bytes_per_s / 1e9,
            machine.int8_ops_per_s / 1e9);
  if (model.experts) print_out("{}\n", to_text(*model.experts));
  print_out("prefill of {} tokens, {} tokens decoded behind a prompt of {}, {} rounds in turn, "
            "medians, {} micro-batches\n\n",
            report.prefill, report.decode, report.context, report.rounds, report.micro_batches);
}

} // namespace

BenchShares shares_of(const BenchReport& report, const BenchResult& result) {
  BenchShares shares;
  const auto plain =
      std::find_if(report.results.begin(), report.results.end(), [&](const BenchResult& r) {
        return r.scheme == "plain" && r.batch == result.batch;
      });
  if (plain != report.results.end()) {
    shares.prefill_over_plain = result.prefill_tokens_per_s / plain->prefill_tokens_per_s;
    shares.decode_over_plain = result.decode_tokens_per_s / plain->decode_tokens_per_s;
    shares.prefill_cpu_over_plain = result.prefill_cpu_ms / plain->prefill_cpu_ms;
    shares.decode_cpu_over_plain = result.decode_cpu_ms / plain->decode_cpu_ms;
    shares.prefill_enclave_over_plain = result.prefill_enclave_ms / plain->prefill_cpu_ms;
    shares.decode_enclave_over_plain = result.decode_enclave_ms / plain->decode_cpu_ms;
  }
  const auto weights = static_cast<double>(report.model.weight_bytes);
  const auto layers = weights - static_cast<double>(report.model.head_bytes);
  const double limbs = result.limbs;
  shares.weight_bytes_per_token = weights / static_cast<double>(result.batch);
  shares.operations_per_token = 2 * weights * limbs;
  if (!result.on_this_machine) return shares; // other machines do the work
  shares.read_share =
      result.decode_tokens_per_s * shares.weight_bytes_per_token / report.machine.read_bytes_per_s;
  if (result.limbs == 0) return shares;
  shares.decode_int8_share =
      result.decode_tokens_per_s * shares.operations_per_token / report.machine.int8_ops_per_s;
  shares.prefill_int8_share =
      result.prefill_tokens_per_s * 2 * layers * limbs / report.machine.int8_ops_per_s;
  return shares;
}

json to_json(const BenchReport& report) {
  json results = json::array();
  for (const BenchResult& r : report.results) results.push_back(result_json(report, r));
  json out = {{"machine",
               {{"kernels", report.machine.kernels},
                {"threads", report.machine.threads},
                {"read_bytes_per_s", report.machine.read_bytes_per_s},
                {"int8_ops_per_s", report.machine.int8_ops_per_s}}},
              {"model",
               {{"name", report.model.name},
                {"layers", report.model.layers},
                {"weights", report.model.weights},
                {"weight_bytes", report.model.weight_bytes},
                {"parameters", report.parameters},
                {"hint_bytes", report.hint_bytes}}},
              {"settings",
               {{"prefill", report.prefill},
                {"decode", report.decode},
                {"decode_prompt", report.context},
                {"rounds", report.rounds},
                {"micro_batches", report.micro_batches}}},
              {"results", std::move(results)}};
  if (report.model.experts) out["model"]["experts"] = to_json(*report.model.experts);
  return out;
}

void print_table(const BenchReport& report) {
  print_head(report);
  constexpr const char* kRow = "{:<9}{:<10}{:>5}{:>13}{:>9}{:>9}{:>8}{:>9}{:>12}{:>9}{:>9}{:>9}{:>"
                               "8}{:>9}{:>9}{:>8}{:>9}{:>8}\n";
  print_out(kRow, "scheme", "worker", "batch", "prefill t/s", "/ plain", "of int8", "CPU ms",
            "enclave", "decode t/s", "/ plain", "of read", "of int8", "CPU ms", "enclave",
            "TTFT ms", "kB up", "kB down", "stalls");
  for (const BenchResult& r : report.results) {
    const BenchShares shares = shares_of(report, r);
    print_out(kRow, r.scheme, r.embedded ? "embedded" : "cluster", r.batch,
              fmt::format("{:.1f}", r.prefill_tokens_per_s), ratio(shares.prefill_over_plain),
              percent(shares.prefill_int8_share), fmt::format("{:.2f}", r.prefill_cpu_ms),
              fmt::format("{:.2f}", r.prefill_enclave_ms),
              fmt::format("{:.2f}", r.decode_tokens_per_s), ratio(shares.decode_over_plain),
              percent(shares.read_share), percent(shares.decode_int8_share),
              fmt::format("{:.2f}", r.decode_cpu_ms), fmt::format("{:.2f}", r.decode_enclave_ms),
              fmt::format("{:.1f}", r.ttft_ms),
              fmt::format("{:.0f}", static_cast<double>(r.bytes.up) / 1e3),
              fmt::format("{:.0f}", static_cast<double>(r.bytes.down) / 1e3), r.mask_stalls);
  }
  print_out("\nof int8: operations of all limbs against plain int8 products out of the cache; of "
            "read: bytes against\nreading every weight once for a batch; CPU ms: of this process "
            "per token, masks it used included;\nenclave: of that, what is not an embedded "
            "worker's products; kB per generated token; stalls: of decoding\n{}\n",
            stall_line(report));
}

} // namespace talaria::cli
