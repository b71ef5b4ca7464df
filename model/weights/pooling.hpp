#pragma once

#include <optional>
#include <string>
#include <vector>

#include "arch/model_plan.hpp"
#include "core/integers.hpp"
#include "model/weights/private_file.hpp"

namespace talaria::model {

/// What a model is served for.
enum class Task : u8 {
  generate, ///< text
  embed,    ///< a vector per text
  score,    ///< a number per pair of texts: how well the second answers the first
};
const char* to_string(Task task) noexcept;

/// Which rows of a text count: the last, or all of them the same.
enum class PoolingKind : u8 { last, mean };

/// How the rows of a text behind the final norm become an embedding or a score.
struct Pooling {
  Task task = Task::embed; ///< or score
  PoolingKind kind = PoolingKind::last;
  bool normalise = true; ///< embeddings are divided by their length
  /// Lengths that an embedding may be cut to, since the model was trained for it (Matryoshka), or
  /// all of them.
  std::vector<u32> dimensions{};
  bool any_dimensions = false;
  u32 max_tokens = 0;  ///< of a text, if that is less than the context; 0: it is not
  bool sigmoid = true; ///< of scores
  /// A model that generates scores by what it would say: the logit of "yes" less that of "no",
  /// whose rows are in this tensor [vocab, hidden], times `multiplier`. Empty: arch::Head::label.
  std::string words{};
  float multiplier = 1;
};

/// What a model with these files and this plan is served for if `asked` is wanted, or by itself if
/// nothing is; nothing: it generates.
///
///   modules.json                       embeddings, as it and 1_Pooling/config.json say
///   architectures: XModel              embeddings of the last row, of length 1
///   architectures: XForSequenceClassification   a score, with `activation_fn` of config.json
///   others, if asked for               embeddings of the last row, or a score by "yes" and "no"
///
/// @throws Error{model} naming file and field for a module or a pooling that is not computed;
/// Error{usage} for a task that the model is not made for.
std::optional<Pooling> pooling_for(std::optional<Task> asked, const TextFiles& texts,
                                   const arch::ModelPlan& plan);

} // namespace talaria::model
