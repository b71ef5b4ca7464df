#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "core/integers.hpp"

namespace talaria::transport {

/// The versions of the wire protocol (wire.capnp) that this program speaks; since kProtocolEvidence
/// a worker can demand evidence.
inline constexpr u32 kProtocolOldest = 1;
inline constexpr u32 kProtocolNewest = 2;
inline constexpr u32 kProtocolEvidence = 2;

/// The part of one matrix that a worker holds, or that an enclave wants from it.
struct HeldMatrix {
  u32 matrix = 0; ///< LinearId
  u64 d_in = 0;
  u64 columns = 0;      ///< of the whole matrix as workers hold it (2 d_out for int16)
  u64 first_column = 0; ///< of the held part
  u64 column_count = 0;
  std::optional<Sha256Digest> digest; ///< of the held part; nothing if unknown on this side
};

/// What both ends compare before they work together.
struct Identity {
  u32 protocol_oldest = kProtocolOldest;
  u32 protocol_newest = kProtocolNewest;
  std::string name;           ///< of the node, for logs
  std::string software;       ///< "talaria-worker 0.1.0"
  std::string parameters;     ///< name of the lattice parameters, "S48"
  u64 modulus = 0;            ///< q; sets the size of a residue
  u64 rounded_modulus = 0;    ///< p of rounded words; 0: the parameters do not round
  u32 dimension = 0;          ///< n of the lattice, the number of rows of a hint
  std::string weights;        ///< "int8"
  Sha256Digest public_seed{}; ///< of the seed of A
  u32 layers = 0;
  std::string device; ///< "cpu avx512, 2 threads"
  u64 weight_bytes = 0;
  std::vector<HeldMatrix> matrices; ///< worker: what it holds; enclave: what it wants from this one
  bool attests = false; ///< enclave: can give evidence of itself; worker: demands it, and then
                        ///< speaks no protocol before kProtocolEvidence
};

/// The newest protocol version that both speak; nothing if there is none.
std::optional<u32> common_protocol(const Identity& a, const Identity& b);

/// The first field in which the two cannot work together, as a line for people: "weights: this side
/// int8, worker gpu-a int16"; nothing if they fit. Protocol ranges must overlap; every wanted part
/// of a matrix must be held with equal shape and, if both know it, equal digest. Name, software,
/// device and weight_bytes may differ. Cost: one sort of the matrices.
std::optional<std::string> first_difference(const Identity& wanted, const Identity& held);

/// The same, told from the worker's end: "weights: enclave NAME int8, this side int16".
std::optional<std::string> first_difference_for_worker(const Identity& wanted,
                                                       const Identity& held);

} // namespace talaria::transport
