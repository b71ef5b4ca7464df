#pragma once

#include <span>

#include "attest/receipts/jws.hpp"

namespace talaria::attest {

/// Whether receipts of the same key and chain follow each other, in whatever order they are given.
/// Records in stage binding `receipt-gap` (numbers are missing between two), `receipt-fork` (two
/// receipts have one number) and `receipt-previous` (one does not follow the one before it). That
/// the first one here is not the first of its chain is no failure.
void check_chains(std::span<const SignedReceipt> receipts, Checks& checks);

} // namespace talaria::attest
