#pragma once

#include "attest/endpoint/attester.hpp"
#include "gateway/router.hpp"

namespace talaria::gateway {

/// Adds attest::kEvidencePath: POST {"nonce": "..."} gives evidence about the TLS connection that
/// the request came by, GET evidence for archives. Both need no key: a client wants to know whom it
/// talks to before it says who it is. `attester` must outlive the router.
///
/// Answers 400 for what is no nonce or came by no TLS, 503 if the platform is busy or gives none.
void add_attestation(Router& router, attest::Attester& attester);

/// @throws ApiError 428 unless evidence about the connection of `exchange` was given on it. A
/// client that does not look at evidence is told before it sends a body.
void require_attested(const Exchange& exchange);

} // namespace talaria::gateway
