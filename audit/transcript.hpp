#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/integers.hpp"
#include "core/matrix.hpp"
#include "remo/public/parameters.hpp"
#include "remo/public/wire_tensors.hpp"

namespace talaria::audit {

class PublicModel;

/// One masked tensor as the worker got it, whether or not its rows were kept.
struct Arrival {
  i64 time_ns = 0;           ///< ns since 1970 by the worker's clock
  u32 matrix = 0;            ///< LinearId
  u32 rows = 0;              ///< as sent, padding included
  std::size_t first_row = 0; ///< of it among all rows of this matrix, kept or not
};

/// The first rows that a worker got for one matrix, in order of arrival: [rows, cols].
struct MatrixRows {
  u32 matrix = 0;
  std::string name;         ///< "layers.0.qkv"
  std::optional<u32> layer; ///< none for lm_head
  std::size_t rows = 0;     ///< kept; the first ones
  std::size_t cols = 0;     ///< d_in
  /// Residues in [0, modulus), as sent. Empty if the scheme sends floats.
  std::vector<u64> words;
  kernels::Modulus modulus; ///< of the words: q of the parameters, or p where masks are rounded
  /// What an attacker of any scheme starts from: the floats as sent, or centred residues over
  /// Delta. Row r is values[r cols, ...).
  std::vector<float> values;
  int delta_bits = 0;         ///< log2 Delta, public: follows from weights and parameters
  double activation_norm = 0; ///< B of remo/bounds.hpp, public; 0 if the scheme sends floats

  const float* row(std::size_t r) const { return values.data() + r * cols; }
  const u64* word_row(std::size_t r) const { return words.data() + r * cols; }
};

/// A request whose prompt the attacker wrote, as a user of the same enclave.
struct ChosenRequest {
  std::size_t first_row = 0; ///< among the rows of each qkv matrix
  std::vector<u32> tokens;   ///< of the rows from there on: prompt, then answer; kNoToken: padding
};

/// Everything the cloud knows, and all that an attack is given. Nothing in here comes from the
/// enclave but what it sent, the pages its host saw it touch, and what is public (weights,
/// parameters, the seed of A and M_pub).
struct CloudView {
  std::string scheme;                                  ///< row of the table
  const remo::LatticeParameters* parameters = nullptr; ///< null if the scheme sends floats
  std::optional<double> hybrid_rank;                   ///< m / d_in if rows are masked by M_pub
  double hybrid_amplitude = 0;
  std::shared_ptr<const PublicModel> model;
  std::vector<Arrival> arrivals; ///< of all matrices, in order
  std::vector<MatrixRows> matrices;
  std::vector<ChosenRequest> chosen; ///< the attacker's own; the others are to be recovered

  static constexpr std::size_t kPageBytes = 4096;
  /// What the enclave's host, which is the cloud too, saw of the embedding table while one tensor
  /// of layers.0.qkv was on its way: numbers of pages, counted from its beginning, in order; one
  /// that follows itself only shows once.
  struct PageVisits {
    std::size_t first_row = 0; ///< among the rows of layers.0.qkv
    std::size_t rows = 0;
    std::vector<u32> pages;
  };
  struct PageView {
    std::size_t row_bytes = 0; ///< of the table, from one token to the next
    std::size_t rows = 0;
    std::vector<PageVisits> visits;
  };
  std::optional<PageView> pages; ///< nothing: nobody watched

  /// Null if no row of it was kept.
  const MatrixRows* find(const std::string& name) const;
  /// First row and number of rows of every request tensor of `matrix` whose rows were all kept.
  std::vector<Arrival> kept_arrivals(const MatrixRows& matrix) const;
  /// Rows of a qkv matrix that do not belong to chosen requests, ascending.
  std::vector<std::size_t> unknown_rows(const MatrixRows& matrix) const;
};

inline constexpr u32 kNoToken = std::numeric_limits<u32>::max();

/// One request as it was: for scoring only.
struct TrueRequest {
  std::vector<u32> prompt;
  std::vector<u32> answer;
  bool chosen = false;
};

/// What the rows were. Never given to an attack.
struct Truth {
  std::vector<TrueRequest> requests; ///< in order; they ran one after the other
  /// Token whose activation each row of a qkv matrix is; kNoToken for padding, special tokens and
  /// whatever else is not to be scored.
  std::vector<u32> tokens;
  std::vector<u32> request_of_row; ///< index into requests
};

/// What a worker recorded, and apart from it the truth.
struct Recording {
  CloudView view;
  Truth truth;
};

} // namespace talaria::audit
