// Any bytes as an answer of Intel's service: what is cut out stands in the answer byte for byte.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "attest/evidence/pcs_json.hpp"

using namespace talaria::attest;

namespace {

void require(bool kept) {
  if (!kept) std::abort();
}

void read(Bytes bytes, const char* key) {
  const auto body = split_signed_body(bytes, key);
  if (!body) return require(body.refusal().code == "json");
  const std::string_view text = as_text(bytes);
  require(text.find(body->text) != text.npos && body->text.front() == '{' &&
          body->text.back() == '}');
  const auto head = read_pcs_head(body->text);
  if (head) require(head->issued != TimePoint::max());
  const auto info = read_tcb_info(body->text);
  if (info)
    for (std::size_t i = 1; i < info->levels.size(); ++i)
      require(info->levels[i - 1].sgx >= info->levels[i].sgx);
  const auto identity = read_qe_identity(body->text);
  if (identity)
    for (std::size_t i = 1; i < identity->levels.size(); ++i)
      require(identity->levels[i - 1].isv_svn >= identity->levels[i].isv_svn);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  read({data, size}, "tcbInfo");
  read({data, size}, "enclaveIdentity");
  return 0;
}
