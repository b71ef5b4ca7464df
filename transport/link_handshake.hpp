#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "transport/tls_channel.hpp"
#include "transport/wire_codec.hpp"
#include "transport/worker_link.hpp"

namespace talaria::transport {

/// The three connections of a link, hellos exchanged.
struct ConnectedLink {
  std::unique_ptr<TlsChannel> control;
  std::unique_ptr<TlsChannel> up;
  std::unique_ptr<TlsChannel> down;
  std::shared_ptr<Traffic> traffic;
  Identity peer;
  LinkBinding binding;                              ///< but the nonce
  std::optional<std::chrono::seconds> attested_for; ///< if the worker demands evidence
};

/// Opens them. @throws what WorkerLink's constructor promises.
ConnectedLink connect_link(const TlsContext& tls, const Address& address,
                           const std::string& expected_name, const Identity& wanted,
                           const LinkOptions& options);

} // namespace talaria::transport
