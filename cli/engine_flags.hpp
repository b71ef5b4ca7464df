#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/pipeline_config.hpp"
#include "pipeline/engine.hpp"

namespace talaria::cli {

/// The flags that say which model to load and how, shared by the commands. A pipeline.yaml comes
/// first, environment variables (TALARIA_MODEL, ...) override it, flags override both.
class EngineFlags {
public:
  /// Adds the flags to `command`; their values live in this object.
  void add_to(CLI::App& command);
  /// The same without those that choose the scheme or write a trace, for a command that measures
  /// several schemes and may do without a model folder: then resolve() leaves it empty.
  void add_to_bench(CLI::App& command);

  /// Only --model-sha256, for a command that takes all else from a file.
  void add_pin_to(CLI::App& command);

  /// The settings after all three sources. @throws Error{usage} or Error{config}.
  config::PipelineConfig resolve() const;
  /// The same with TARGET, a model folder or a pipeline.yaml, in the place of --model or --config.
  config::PipelineConfig resolve_for(const std::string& target) const;
  /// The same as engine options; chooses the SIMD target (--isa) for the process.
  /// @throws Error{usage}: `clear` without --allow-clear.
  pipeline::EngineOptions engine_options() const;
  /// The same from settings that resolve() gave.
  pipeline::EngineOptions engine_options(const config::PipelineConfig& settings) const;
  /// As --allow-clear does, for a command with a flag of its own.
  void allow_clear(bool allowed) { allow_clear_ = allowed; }

private:
  std::string config_file_;
  std::string model_;
  std::string model_sha256_;
  std::string scheme_;
  std::string parameters_;
  std::string weights_;
  std::string reply_;
  std::string isa_;
  std::string trace_;
  std::optional<std::size_t> threads_;
  std::string cores_;
  std::optional<double> hybrid_rank_;
  std::vector<u32> padding_;
  std::optional<u32> pad_rounds_;
  std::string pace_;
  std::optional<u32> micro_batches_;
  std::optional<u32> max_rows_;
  std::optional<u32> prefill_chunk_;
  bool allow_clear_ = false;
  bool oblivious_ = false;
  bool model_needed_ = true;
};

/// What the operator should know once the engine is there, on standard error: what the scheme
/// leaks, and memory that could not be locked.
void print_warnings(const pipeline::Engine& engine);

/// The shipped model, looked for under ./models and beside the program; empty if it is not there.
std::filesystem::path shipped_model();

/// The digest that --model-sha256 gives; nothing for an empty text. @throws Error{usage}
std::optional<Sha256Digest> parse_model_sha256(const std::string& text);

/// "1,2,3" or "1 2 3" to ids. @throws Error{usage} naming `flag` and the part that is not a number.
std::vector<u32> parse_token_list(const std::string& text, const std::string& flag);

} // namespace talaria::cli
