#pragma once

#include <memory>
#include <vector>

#include "gateway/api_request.hpp"
#include "pipeline/request.hpp"

namespace talaria::gateway {

/// What the engine is asked for answer number `choice` to `prompt`: the seed is one more each time,
/// so that a choice is the answer to a request with its own seed. Whose request it is and what it
/// is called in traces is left to the caller.
pipeline::Request engine_request(const ApiRequest& request, const std::vector<u32>& prompt,
                                 u32 choice,
                                 const std::shared_ptr<model::grammar::TokenGrammar>& grammar);

} // namespace talaria::gateway
