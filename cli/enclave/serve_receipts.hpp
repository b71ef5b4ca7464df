#pragma once

#include <memory>
#include <string>

#include "attest/endpoint/attester.hpp"
#include "config/pipeline_config.hpp"
#include "gateway/receipt_book.hpp"

namespace talaria::cli {

/// With a key of this start; null if `serve.receipts` is off.
std::shared_ptr<attest::ReceiptSigner> receipt_signer(const config::Serve& serve);

/// Receipts that say what `attester` vouches for.
/// @param fingerprint  what answers depend on besides requests (`system_fingerprint`)
std::shared_ptr<gateway::ReceiptBook> receipt_book(const config::PipelineConfig& settings,
                                                   const attest::Attester& attester,
                                                   std::shared_ptr<attest::ReceiptSigner> signer,
                                                   const std::string& fingerprint);

} // namespace talaria::cli
