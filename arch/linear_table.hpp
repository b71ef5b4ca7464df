#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/integers.hpp"

namespace talaria::arch {

/// What an outsourced matrix is for. q, k, v are one matrix (columns in that order), gate and up
/// are one. With latent attention `qkv` makes what `heads` makes queries, keys and values of. A
/// DeltaNet's five matrices go by the names of attention's: qkv is what goes in, o what comes out.
enum class LinearKind : u8 { qkv, o, gate_up, down, lm_head, heads, per_layer_inputs };

/// Names one outsourced matrix of a model: its place in the LinearTable. The same number on both
/// sides of the wire.
struct LinearId {
  u32 value = 0;
  friend auto operator<=>(const LinearId&, const LinearId&) = default;
};

/// The gain of a norm before a matrix, which is folded into the matrix.
struct FoldedGain {
  std::string tensor; ///< [d_in]; empty: none
  bool plus_one = false;
};

/// Where a matrix lies if a tensor holds those of all experts of a layer: [count, outputs, inputs],
/// or [count, inputs, outputs]; or in MXFP4 as two tensors of bytes, `tensor` + "_blocks" [count,
/// outputs, inputs / 32, 16] and `tensor` + "_scales" [count, outputs, inputs / 32].
struct StackedMatrix {
  std::string tensor;
  u32 count = 0;
  u32 index = 0;
  std::size_t outputs = 0; ///< of each matrix there
  std::size_t first = 0;   ///< outputs `first`, `first` + `step`, ... are the part
  std::size_t step = 1;
  bool inputs_first = false; ///< [count, inputs, outputs]
  std::string bias = {};     ///< [count, outputs]; empty: none
};

/// A tensor of a matrix, `base` + ".weight": some of its outputs, [size, d_in], maybe with `base` +
/// ".bias" [size]; or, in a matrix by inputs, some of its inputs, [d_out, size].
struct LinearPart {
  std::string base;
  std::size_t size = 0;
  bool has_bias = true; ///< if the matrix has one: otherwise these outputs have 0
  /// Inputs [first_input, first_input + inputs) of the matrix are what the tensor has, with a gain
  /// of their own; its other inputs count 0. inputs 0: all.
  std::size_t first_input = 0;
  std::size_t inputs = 0;
  FoldedGain gain = {};
  /// Where the part is if there is no tensor of this name.
  std::optional<StackedMatrix> stacked = std::nullopt;
};

/// One outsourced matrix, y = W x (+ bias).
struct Linear {
  LinearId id;
  std::string name; ///< "layers.3.gate_up" or "lm_head": for logs, errors and prepared folders
  LinearKind kind = LinearKind::qkv;
  u32 layer = 0; ///< that it is placed with: the head comes with the last one
  std::size_t d_in = 0;
  std::size_t d_out = 0;         ///< outputs of the model, not column sets
  std::vector<LinearPart> parts; ///< which, one after the other, are the outputs (or inputs)
  bool by_inputs = false;        ///< parts are inputs: the experts of a layer, side by side
  FoldedGain gain;
  bool bias = false;
  float multiplier = 1;       ///< of the outputs, bias included
  bool binary_scales = false; ///< ModelPlan::exact_weights
};

/// Every matrix that goes out, in the order of the forward pass: per_layer_inputs, if the model has
/// it; layer by layer qkv, (heads,) o, gate_up, down; the head, if there is one, is the last.
class LinearTable {
public:
  LinearTable() = default;
  explicit LinearTable(std::vector<Linear> linears);

  u32 size() const noexcept { return static_cast<u32>(linears_.size()); }
  /// @throws Error{internal} for an id that the model does not have.
  const Linear& at(LinearId id) const;
  const Linear& operator[](LinearId id) const { return at(id); }
  /// @throws Error{internal} if there is none.
  const Linear& of(u32 layer, LinearKind kind) const;
  /// Only with has_head().
  const Linear& head() const { return linears_.back(); }
  bool has_head() const noexcept {
    return !linears_.empty() && linears_.back().kind == LinearKind::lm_head;
  }
  /// The table without the head; the other matrices keep their numbers.
  void drop_head();

  std::vector<Linear>::const_iterator begin() const noexcept { return linears_.begin(); }
  std::vector<Linear>::const_iterator end() const noexcept { return linears_.end(); }

private:
  std::vector<Linear> linears_;
};

} // namespace talaria::arch
