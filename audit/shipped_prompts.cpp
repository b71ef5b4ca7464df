#include "audit/shipped_prompts.hpp"

// The assembler puts the bytes in place; the path comes from CMake.
asm(".section .rodata\n"
    ".global talaria_audit_prompts\n"
    ".global talaria_audit_prompts_end\n"
    "talaria_audit_prompts:\n"
    ".incbin \"" TALARIA_PROMPTS "\"\n"
    "talaria_audit_prompts_end:\n"
    ".previous\n");
extern "C" const char talaria_audit_prompts[];
extern "C" const char talaria_audit_prompts_end[];

namespace talaria::audit {

std::string_view shipped_prompts() noexcept {
  return {talaria_audit_prompts, talaria_audit_prompts_end};
}

} // namespace talaria::audit
