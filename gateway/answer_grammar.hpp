#pragma once

#include "gateway/api_request.hpp"
#include "model/grammar/expression.hpp"

namespace talaria::gateway {

/// The texts of the form that a request asks for, which is not any.
/// @throws ApiError 400 naming its field, and the keyword or sign that is not supported
model::grammar::Rules answer_rules(const ApiRequest& request);

} // namespace talaria::gateway
