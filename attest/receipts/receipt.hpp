#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attest/evidence/adapter_claim.hpp"
#include "attest/evidence/bytes.hpp"
#include "core/digest.hpp"

namespace talaria::attest {

inline constexpr std::size_t kMaxClaimsBytes = std::size_t{256} << 10;

/// 32 random bytes that only the client of an answer is given. Without them a hash of a short
/// prompt could be found by trying.
using Salt = std::array<u8, 32>;

/// SHA-256(salt ‖ SHA-256(bytes)). The inner hash can be taken while bytes come and before the salt
/// is there, so that nobody has to keep a body for it.
Sha256Digest salted(const Salt& salt, const Sha256Digest& of_bytes);
/// The same of token ids, 4 bytes little-endian each.
Sha256Digest salted_ids(const Salt& salt, std::span<const u32> ids);
Sha256Digest salted_text(const Salt& salt, std::string_view text);

/// Two of them, so that a client can disclose one side of an exchange and keep the other.
struct ReceiptSalts {
  Salt request{};  ///< of the body and the prompts
  Salt response{}; ///< of the body and the answers
};

/// A prompt as the model read it.
struct ReceiptPrompt {
  u32 tokens = 0;
  Sha256Digest ids{}; ///< salted
};

/// An answer as the model made it.
struct ReceiptAnswer {
  u32 prompt = 0; ///< which one
  u64 seed = 0;   ///< of this answer alone
  u32 tokens = 0;
  Sha256Digest ids{};  ///< salted
  Sha256Digest text{}; ///< salted; before calls of tools are taken out of it
  std::string finish;  ///< stop, length, or cancelled: the client left
};

/// What, beside model, prompt and seed, an answer depends on.
struct ReceiptSampling {
  float temperature = 0;
  float top_p = 1;
  u32 top_k = 0;
  float min_p = 0;
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  u32 max_tokens = 0; ///< 2^32 - 1: whatever the context holds
  u32 min_tokens = 0;
  bool ignore_eos = false;
  /// The request asks for more (stop strings, biases, a grammar, tools), which may tell what it is
  /// about and stands nowhere but in its body.
  bool more = false;
};

/// Whose answers have receipts.
inline constexpr std::string_view kReceiptEndpoints[] = {
    "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages",
    "/v1/embeddings",       "/v1/score",       "/v1/rerank"};

/// What an enclave signs about one answered request. Nothing in it tells prompt or answer to
/// somebody without the salts, beside how long they are.
struct Receipt {
  std::string service; ///< name of the service, as in the statement
  TimePoint issued{};
  std::string id; ///< of the response: "chatcmpl-..."
  std::array<u8, 16> chain{};
  u64 number = 0;                       ///< in the chain, from 1
  std::optional<Sha256Digest> previous; ///< SHA-256 of the receipt before; nothing for the first
  std::string endpoint = "/v1/completions"; ///< one of kReceiptEndpoints
  bool stream = false;
  bool cut = false;        ///< the client left before the end
  Sha256Digest request{};  ///< salted, of the body as received, a Content-Encoding undone
  Sha256Digest response{}; ///< salted, of the body as sent; of a stream without its comments
  std::string model;
  Sha256Digest model_root{};           ///< as `talaria inspect` prints it
  std::optional<AdapterClaim> adapter; ///< that the answers were made with; nothing: none
  std::string weights, scheme, parameters, integrity;
  std::string kv;          ///< format of keys and values
  std::string software;    ///< "talaria 0.4.0"
  std::string fingerprint; ///< system_fingerprint of the response
  ReceiptSampling sampling;
  std::vector<ReceiptPrompt> prompts;
  /// Those given, in their order; none of embeddings and scores, which `response` stands for.
  std::vector<ReceiptAnswer> answers;
  bool simulated = false; ///< the platform that vouches for the key proves nothing
};

/// The claims as JSON in one fixed order.
/// @throws Error{usage} if a text is no line of at most 256 printable ASCII characters.
std::string to_json(const Receipt& receipt);

/// Reads such JSON, in any order; unknown, repeated and missing fields are refused. Stage format,
/// `receipt`.
Parsed<Receipt> parse_receipt(std::string_view json);

} // namespace talaria::attest
