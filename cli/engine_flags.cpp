#include "cli/engine_flags.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "cli/serve_attestation.hpp"
#include "core/console.hpp"
#include "core/locked_memory.hpp"
#include "settings/engine/engine_options.hpp"

namespace talaria::cli {

using settings::FlagGroup;

void EngineFlags::add_to(CLI::App& command) {
  add_to_bench(command);
  model_needed_ = true;
  flags_.add_to(command, {FlagGroup::scheme});
  command.add_flag("--allow-clear", allowed_.clear,
                   "permit --scheme clear: the worker sees everything");
}

void EngineFlags::add_to_bench(CLI::App& command) {
  model_needed_ = false;
  command.add_option("--config", config_file_, "pipeline.yaml to start from");
  flags_.add_to(command, {FlagGroup::model, FlagGroup::pin, FlagGroup::engine});
}

config::PipelineConfig EngineFlags::resolve() const {
  settings::Resolved resolved =
      settings::resolve({config_file_, std::nullopt, ::getenv, flags_.given()});
  if (resolved.config.model.empty() && model_needed_)
    throw Error(Errc::usage,
                "no model: give --model DIR, set TALARIA_MODEL, or name one in --config");
  return std::move(resolved.config);
}

config::PipelineConfig EngineFlags::resolve_for(const std::string& target) const {
  if (target.empty()) return resolve();
  return resolve_target(target, flags_.given()).config;
}

pipeline::EngineOptions EngineFlags::engine_options(const config::PipelineConfig& config) const {
  settings::require_masks(config, allowed_);
  pipeline::EngineOptions options = settings::engine_options(config, print_worker_line);
  if (options.cluster) options.cluster->evidence = link_evidence(config);
  options.hints.chip_key = chip_key(config);
  return options;
}

void print_worker_line(const std::string& line) {
  print_log("talaria: {}", line);
}

void print_warnings(const pipeline::Engine& engine) {
  for (const std::string& warning : {engine.warning(), lock_warning()})
    if (!warning.empty()) print_log("talaria: warning: {}", warning);
}

std::vector<u32> parse_token_list(const std::string& text, const std::string& flag) {
  std::vector<u32> ids;
  std::size_t at = 0;
  while (at < text.size()) {
    if (text[at] == ',' || std::isspace(static_cast<unsigned char>(text[at])) != 0) {
      ++at;
      continue;
    }
    std::size_t end = text.find_first_of(", \t\r\n", at);
    if (end == std::string::npos) end = text.size();
    u32 id = 0;
    const auto [stop, error] = std::from_chars(text.data() + at, text.data() + end, id);
    if (error != std::errc() || stop != text.data() + end)
      throw Error(Errc::usage, fmt::format("{}: item {} is not a token id; write ids as 1,2,3",
                                           flag, ids.size() + 1));
    ids.push_back(id);
    at = end;
  }
  return ids;
}

} // namespace talaria::cli
