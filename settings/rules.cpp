#include "settings/rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "remo/public/parameters.hpp"
#include "settings/serve_rules.hpp"
#include "settings/table.hpp"

namespace talaria::settings {

namespace {

namespace fs = std::filesystem;
using config::PipelineConfig;
using config::Problems;
using config::to_text;

/// Whoever loads a model from a flag says what is wrong with it, in the words of the model's room.
void check_model(const PipelineConfig& config, const Origins& origins, Problems& problems) {
  if (problems.files_are_elsewhere()) return;
  const Origin* origin = origins.find("model");
  std::error_code ignored;
  if (origin == nullptr || origin->source == Source::flag || config.model.empty()) return;
  if (!fs::is_directory(config.model, ignored) && !fs::is_regular_file(config.model, ignored))
    problems.add(origin->at, origins.name_of("model"),
                 fmt::format("{} is not there; expected a model folder or a GGUF file",
                             config::in_quotes(config.model.string())));
}

void check_buckets(const PipelineConfig& config, const Origins& origins, Problems& problems) {
  const auto& buckets = config.masking.padding.buckets;
  if (buckets.empty() || buckets.back() <= config.pipeline.max_rows) return;
  problems.add(origins.place_of("masking.padding.buckets"),
               origins.name_of("masking.padding.buckets"),
               fmt::format("the largest is {}; expected at most {}, which is {}", buckets.back(),
                           origins.name_of("pipeline.max_rows"), config.pipeline.max_rows));
}

void check_drafts(const PipelineConfig& config, const Origins& origins, Problems& problems) {
  const u32 drafts = config.pipeline.speculate.drafts;
  if (drafts == 0) return;
  const auto refuse = [&](const std::string& what) {
    problems.add(origins.place_of("pipeline.speculate"), origins.name_of("pipeline.speculate"),
                 what);
  };
  std::error_code ignored;
  const fs::path& model = config.pipeline.speculate.model;
  if (!model.empty() && !problems.files_are_elsewhere() && !fs::exists(model, ignored))
    refuse(fmt::format("{} is not there; expected the folder or GGUF file of a small model",
                       config::in_quotes(model.string())));
  if (config.enclave.oblivious == "on")
    refuse("has no place beside enclave.oblivious: on, since where keys are stored shows how many "
           "drafts were right");
  const auto& buckets = config.masking.padding.buckets;
  u32 most = config.pipeline.max_rows;
  if (!buckets.empty()) most = std::min(most, buckets.back());
  if (drafts >= most)
    refuse(fmt::format("{} drafts make rounds of {} rows; expected at most {}, the rows of one "
                       "micro-batch (pipeline.max_rows, the largest bucket)",
                       drafts, 1 + drafts, most));
}

void check_identity(const config::Tls& tls, const Origins& origins, Problems& problems) {
  const std::pair<const char*, const fs::path*> files[] = {{"tls.cert", &tls.cert},
                                                           {"tls.key", &tls.key}};
  for (const auto& [key, file] : files) {
    const bool is_given = origins.find(key) != nullptr;
    if (!tls.is_ephemeral && !is_given)
      problems.add(origins.place_of("tls"), key,
                   "missing; it is required unless identity: ephemeral");
    if (tls.is_ephemeral && is_given)
      problems.add(origins.place_of("tls"), key,
                   "has no place beside identity: ephemeral, which makes one at each start");
  }
}

void check_tls(const PipelineConfig& config, const Origins& origins, Problems& problems) {
  if (config.tls) check_identity(*config.tls, origins, problems);
  if (config.workers.empty() || config.tls) return;
  problems.add(origins.place_of("workers"), "workers",
               "no tls; expected tls: { ca, cert, key } with workers");
}

void check_faults(const PipelineConfig& config, const Origins& origins, Problems& problems) {
  const config::Faults& faults = config.faults;
  const auto refuse = [&](const std::string& what) {
    problems.add(origins.place_of("faults"), "faults", what);
  };
  if (faults.silence < 2 * faults.heartbeat)
    refuse(fmt::format("silence is {} and heartbeat {}; expected a silence of two heartbeats or "
                       "more, or healthy links are cut",
                       to_text(faults.silence), to_text(faults.heartbeat)));
  if (faults.request_deadline < faults.deadline)
    refuse(fmt::format("request_deadline is {} and deadline {}; expected deadline <= "
                       "request_deadline",
                       to_text(faults.request_deadline), to_text(faults.deadline)));
}

/// `first` and `most` of a delay that doubles.
void check_doubling(const char* section, std::chrono::milliseconds first,
                    std::chrono::milliseconds most, const Origins& origins, Problems& problems) {
  if (most < first)
    problems.add(origins.place_of(section), section,
                 fmt::format("most is {}, less than first, which is {}; expected first <= most",
                             to_text(most), to_text(first)));
}

} // namespace

void check_together(const PipelineConfig& config, const Origins& origins, Problems& problems) {
  check_model(config, origins, problems);
  check_buckets(config, origins, problems);
  check_drafts(config, origins, problems);
  check_tls(config, origins, problems);
  check_faults(config, origins, problems);
  check_doubling("faults.reconnect", config.faults.reconnect_first, config.faults.reconnect_max,
                 origins, problems);
  check_doubling("launch.backoff", config.launch.backoff_first, config.launch.backoff_max, origins,
                 problems);
  check_serving(config, origins, problems);
}

void check_not_weakened(const config::Masking& file, const config::Masking& now,
                        Problems& problems) {
  const auto refuse = [&](const char* key, const std::string& value, const std::string& of_file) {
    problems.add(config::kInEnvironment, find_setting(key)->variable,
                 fmt::format("is {}, which protects less than {} of the file; unset it, or change "
                             "the file",
                             config::in_quotes(value), config::in_quotes(of_file)));
  };
  const auto names = scheme_names(); // the strongest first
  const auto place = [&](const std::string& scheme) {
    return std::find(names.begin(), names.end(), scheme) - names.begin();
  };
  if (place(now.scheme) > place(file.scheme)) refuse("masking.scheme", now.scheme, file.scheme);
  const auto bits = [](const std::string& name) {
    return remo::lattice_parameters(name).quantum_core_svp_bits;
  };
  if (bits(now.parameters) < bits(file.parameters))
    refuse("masking.parameters", now.parameters, file.parameters);
}

} // namespace talaria::settings
