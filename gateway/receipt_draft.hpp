#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/api_request.hpp"
#include "gateway/dialect.hpp"
#include "gateway/http_message.hpp"
#include "gateway/receipt_book.hpp"
#include "pipeline/request.hpp"

namespace talaria::gateway {

/// The receipt of one request while its answer is made. One thread.
class ReceiptDraft {
public:
  /// @param body  of the request, as received
  ReceiptDraft(ReceiptBook& book, Dialect dialect, std::string client, std::string_view body);

  /// What the request came to.
  void asked(const ApiRequest& request, const std::vector<std::vector<u32>>& prompts);
  /// Its answers are made with an adapter.
  void adapted(const ServedAdapter& adapter);
  /// Another part of the response's body; comments of a stream are none.
  void sent(std::string_view part) { body_.update(attest::as_bytes(part)); }
  /// The next answer that was given: number `choice` of those made to `prompt`.
  void answered(std::size_t prompt, u64 seed, const pipeline::Completion& completion);

  /// Signs. Once. @param id  of the response  @param cut  the client left before the end
  attest::ReceiptRecord sign(const std::string& id, bool cut);

private:
  ReceiptBook& book_;
  const std::string client_;
  attest::ReceiptSalts salts_;
  attest::Receipt receipt_;
  Sha256 body_; ///< of the response
};

inline constexpr const char* kReceiptHeader = "Talaria-Receipt";
inline constexpr const char* kReceiptSaltsHeader = "Talaria-Receipt-Salts";

/// Puts the receipt into the head of a response, or says where it can be had, if it is longer than
/// clients take a field to be.
void set_receipt(const attest::ReceiptRecord& record, const std::string& id,
                 HttpResponse& response);

/// The same behind the last event of a stream, as a comment, which clients skip:
/// ": talaria-receipt JWS SALTS".
std::string receipt_comment(const attest::ReceiptRecord& record);

} // namespace talaria::gateway
