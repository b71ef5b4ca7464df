#pragma once

#include <string_view>

#include "core/address.hpp"

namespace talaria::transport {

using talaria::Address;
using talaria::is_ip_address;
using talaria::to_string;

/// An address that somebody typed, as talaria::parse_address() takes it.
/// @throws Error{usage} if it is none.
Address parse_address(std::string_view text);

} // namespace talaria::transport
