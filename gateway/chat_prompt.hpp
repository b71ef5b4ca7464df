#pragma once

#include <vector>

#include "gateway/api_request.hpp"
#include "model/chat_encoder.hpp"

namespace talaria::gateway {

/// The ids of a chat's prompt: its messages, tools and documents as `chat`'s template writes them.
/// At most `most`. Changes the request's messages and options on the way.
/// @throws ApiError 400 for what the template has no place for; Error{usage} for what it refuses;
/// model::TextTooLong.
std::vector<u32> chat_tokens(ApiRequest& request, const model::ChatEncoder& chat, std::size_t most);

} // namespace talaria::gateway
