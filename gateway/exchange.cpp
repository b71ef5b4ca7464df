#include "gateway/exchange.hpp"

#include <utility>

namespace talaria::gateway {

namespace {
thread_local Exchange* current = nullptr;
} // namespace

ExchangeScope::ExchangeScope(Exchange& exchange) noexcept
    : before_(std::exchange(current, &exchange)) {}

ExchangeScope::~ExchangeScope() {
  current = before_;
}

Exchange& current_exchange() noexcept {
  return *current;
}

} // namespace talaria::gateway
