#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/integers.hpp"
#include "gateway/api_error.hpp"
#include "pipeline/request.hpp"

namespace talaria::gateway {

/// Tokens of one HTTP request, all its answers together.
struct Usage {
  u64 prompt_tokens = 0;
  u64 completion_tokens = 0;
};

/// The bodies of one answered request, as OpenAI's API has them. Chunks come as whole server-sent
/// events ("data: {...}" and an empty line).
class ResponseFormat {
public:
  /// Takes a random id and the present time.
  /// @param include_usage  chunks carry "usage", as stream_options.include_usage asks
  ResponseFormat(bool chat, std::string model, bool include_usage);

  std::string whole(std::span<const pipeline::Completion> answers, Usage usage) const;

  /// Before the first text of answer `index`; empty for /v1/completions.
  std::string opening(std::size_t index) const;
  std::string text(std::size_t index, std::string_view piece) const;
  std::string ending(std::size_t index, pipeline::FinishReason reason) const;
  /// After the last answer; empty unless usage was asked for.
  std::string usage(Usage usage) const;

  static std::string failure(const ApiError& error);
  static constexpr std::string_view kDone = "data: [DONE]\n\n";

private:
  bool chat_;
  std::string id_;
  std::string model_;
  i64 created_; ///< seconds since 1970
  bool include_usage_;
};

/// The body of /v1/models.
std::string models_body(const std::string& model, u32 context, i64 created);
/// The body of /v1/models/NAME.
std::string model_body(const std::string& model, u32 context, i64 created);

} // namespace talaria::gateway
