#include "settings/protection.hpp"

#include <fmt/format.h>

#include "core/error.hpp"

namespace talaria::settings {

const std::vector<Weakness>& weaknesses() {
  static const std::vector<Weakness> all{
      {"--allow-hybrid", "masking.scheme is hybrid",
       "workers can recover tokens from its low-rank mask",
       "serve with scheme hybrid, whose mask leaks tokens", &Allowances::hybrid,
       [](const config::Masking& masking) { return masking.scheme == "hybrid"; }},
      {"--allow-clear", "masking.scheme is clear", "workers see every prompt and answer",
       "permit scheme clear: workers see everything", &Allowances::clear,
       [](const config::Masking& masking) { return masking.scheme == "clear"; }},
      {"--allow-unverified", "masking.integrity is none",
       "a worker's wrong answers are not noticed, and tell it about what they were for",
       "serve with integrity none: workers' answers are not checked", &Allowances::unverified,
       [](const config::Masking& masking) { return masking.integrity == "none"; }}};
  return all;
}

std::vector<const Weakness*> unpermitted(const config::Masking& masking,
                                         const Allowances& allowed) {
  std::vector<const Weakness*> found;
  for (const Weakness& weakness : weaknesses())
    if (weakness.is_present(masking) && !(allowed.*weakness.allowed)) found.push_back(&weakness);
  return found;
}

void require_protection(const config::PipelineConfig& config, const Allowances& allowed) {
  const auto found = unpermitted(config.masking, allowed);
  if (found.empty()) return;
  const Weakness& first = *found.front();
  throw Error(Errc::usage, fmt::format("{}: {}: {}; change it, or add {} to this command line",
                                       config.file.empty() ? "settings" : config.file.string(),
                                       first.setting, first.gives_away, first.flag));
}

void require_masks(const config::PipelineConfig& config, const Allowances& allowed) {
  if (config.masking.scheme == "clear" && !allowed.clear)
    throw Error(Errc::usage,
                "--scheme clear shows the worker every activation; add --allow-clear if that is "
                "what you want");
}

} // namespace talaria::settings
