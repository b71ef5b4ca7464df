#include "cli/protection.hpp"

#include <fmt/format.h>

#include "core/error.hpp"

namespace talaria::cli {

namespace {

struct Weakness {
  bool present;
  bool allowed;
  const char* setting;
  const char* gives_away;
  const char* flag;
};

std::vector<Weakness> weaknesses(const config::Masking& masking, const Allowances& allowed) {
  return {{masking.scheme == "hybrid", allowed.hybrid, "masking.scheme is hybrid",
           "workers can recover tokens from its low-rank mask", "--allow-hybrid"},
          {masking.scheme == "clear", allowed.clear, "masking.scheme is clear",
           "workers see every prompt and answer", "--allow-clear"},
          {masking.integrity == "none", allowed.unverified, "masking.integrity is none",
           "a worker's wrong answers are not noticed, and tell it about what they were for",
           "--allow-unverified"}};
}

} // namespace

void Allowances::add_to(CLI::App& command) {
  command.add_flag("--allow-hybrid", hybrid, "serve with scheme hybrid, whose mask leaks tokens");
  command.add_flag("--allow-clear", clear, "serve with scheme clear: workers see everything");
  command.add_flag("--allow-unverified", unverified,
                   "serve with integrity none: workers' answers are not checked");
}

std::vector<std::string> Allowances::arguments() const {
  std::vector<std::string> flags;
  if (hybrid) flags.emplace_back("--allow-hybrid");
  if (clear) flags.emplace_back("--allow-clear");
  if (unverified) flags.emplace_back("--allow-unverified");
  return flags;
}

void require_protection(const config::PipelineConfig& settings, const Allowances& allowed) {
  for (const Weakness& weakness : weaknesses(settings.masking, allowed))
    if (weakness.present && !weakness.allowed)
      throw Error(Errc::usage,
                  fmt::format("{}: {}: {}; change it, or add {} to this command line",
                              settings.file.empty() ? "settings" : settings.file.string(),
                              weakness.setting, weakness.gives_away, weakness.flag));
}

} // namespace talaria::cli
