#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attest/binding/document.hpp"
#include "attest/evidence/adapter_claim.hpp"
#include "core/digest.hpp"

namespace talaria::attest {

/// What an enclave says about itself. It is worth what the measurement beside it is worth, and is
/// looked at only after that has passed. Every field must be there, but the key of receipts, since
/// a server that signs none has none, and the list of adapters, where there is none.
struct Statement {
  std::string service;                           ///< name of the service, as in its certificate
  std::array<u8, 32> instance{};                 ///< random at start
  std::string software;                          ///< "talaria 0.4.0"
  Sha256Digest binary{};                         ///< of the running program
  Sha256Digest configuration{};                  ///< of pipeline.yaml
  std::string model;                             ///< its name
  Sha256Digest model_root{};                     ///< of its files, as `talaria inspect` prints it
  std::vector<AdapterClaim> adapters;            ///< that requests may name, in any order
  std::string weights;                           ///< "int8", "int16"
  std::string scheme;                            ///< "lattice"
  std::string parameters;                        ///< "S48"
  std::string integrity;                         ///< "freivalds"
  std::string padding;                           ///< how requests are padded
  std::optional<std::array<u8, 32>> receipt_key; ///< Ed25519
  Sha256Digest tls_key{};                        ///< of the SubjectPublicKeyInfo
  TimePoint issued{};
};

/// JSON in one fixed order and without white space: the same statement gives the same bytes.
/// @throws Error{usage} if it is larger than 8 KiB or a text is no line of printable ASCII.
std::string to_json(const Statement& statement);

/// Reads such JSON of at most 8 KiB, in any order; unknown, repeated and missing fields are
/// refused. Stage policy, `statement`.
Parsed<Statement> parse_statement(std::string_view json);

} // namespace talaria::attest
