// Any bytes as a policy: either an Error{config} whose every line begins with the file's name, or
// a policy that demands something.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "attest/policy/policy_file.hpp"
#include "core/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace talaria;
  try {
    const auto policy =
        attest::parse_policy({reinterpret_cast<const char*>(data), size}, "fuzz.yaml");
    if (!policy.any_image && policy.images.empty()) std::abort();
    if (policy.simulated == !policy.evidence.empty()) std::abort();
  } catch (const Error& error) {
    if (error.code() != Errc::config || !std::string(error.what()).starts_with("fuzz.yaml:"))
      std::abort();
  }
  return 0;
}
