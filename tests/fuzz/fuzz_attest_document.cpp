// Any bytes as an evidence document and as a bundle: what is read is written and read again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "attest/binding/document.hpp"
#include "attest/collateral/bundle.hpp"

using namespace talaria::attest;

namespace {

void require(bool kept) {
  if (!kept) std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, size);
  if (auto document = parse_document(as_text(bytes))) {
    const auto again = parse_document(to_json(*document));
    require(again && again->statement == document->statement);
    Bundle bundle;
    bundle.add(document->evidence);
    (void)bundle.to_tar();
    bundle.complete(document->evidence);
  } else {
    require(document.refusal().code == "document");
  }
  const auto files = read_tar(bytes);
  if (files) {
    const auto again = read_tar(write_tar(*files));
    require(again && *again == *files);
  }
  return 0;
}
