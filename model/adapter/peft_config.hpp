#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/integers.hpp"
#include "model/adapter/module_pattern.hpp"
#include "model/weights/private_file.hpp"

namespace talaria::model {

/// Which modules a list of names or an expression of PEFT selects. A name of a list stands for the
/// module of exactly this path and for those whose path ends with it; an expression has to match
/// the whole path.
class ModuleSelection {
public:
  ModuleSelection() = default; ///< none
  static ModuleSelection names(std::set<std::string> names);
  static ModuleSelection expression(const std::string& expression, const std::string& where);

  bool is_names() const noexcept { return !expression_; }
  bool contains(const std::string& module) const;

private:
  std::set<std::string> names_;
  std::optional<ModulePattern> expression_;
};

/// adapter_config.json of a LoRA, as PEFT (0.18) writes it: which modules have a pair of matrices,
/// of what rank, and what their product is multiplied by.
class PeftConfig {
public:
  static constexpr u32 kMaxRank = 4096;

  /// @throws Error{model} naming file and field for what is malformed, and for whatever would make
  /// the adapter something else than W + scale B A: other methods than LoRA, DoRA, biases, modules
  /// that were saved whole, transposed weights, starts that change the model's own weights, and
  /// fields that are not known and say something.
  static PeftConfig parse(const PrivateFile& file);

  /// True if `target_modules` is "all-linear": every linear module but the head.
  bool targets_all_linear() const noexcept { return all_linear_; }
  /// Whether the module of this path ("model.layers.0.self_attn.q_proj") has matrices.
  bool targets(const std::string& module) const;
  u32 rank_of(const std::string& module) const;
  /// alpha / r, or alpha / sqrt(r) (use_rslora).
  double scale_of(const std::string& module) const;

private:
  template <class T>
  using Patterns = std::vector<std::pair<ModulePattern, T>>; ///< the first that matches counts

  void read_targets(const nlohmann::json& object, const std::string& file);
  void read_layers(const nlohmann::json& object, const std::string& file);
  void read_patterns(const PrivateFile& file);
  bool is_of_layers(const std::string& module) const;

  u32 rank_ = 8;
  double alpha_ = 8;
  bool rslora_ = false;
  bool all_linear_ = false;
  ModuleSelection targets_;
  ModuleSelection excluded_;
  std::set<u32> layers_; ///< layers_to_transform; empty: all
  std::vector<ModulePattern> layer_patterns_;
  Patterns<u32> ranks_;
  Patterns<double> alphas_;
};

} // namespace talaria::model
