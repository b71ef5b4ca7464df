#include "audit/shipped_prompts.hpp"

#include "core/embedded_file.hpp"

TALARIA_EMBED(talaria_audit_prompts, TALARIA_PROMPTS);

namespace talaria::audit {

std::string_view shipped_prompts() noexcept {
  return TALARIA_EMBEDDED(talaria_audit_prompts);
}

} // namespace talaria::audit
