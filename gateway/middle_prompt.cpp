#include "gateway/middle_prompt.hpp"

#include <utility>

namespace talaria::gateway {

std::optional<MiddlePrompt> MiddlePrompt::of(const model::Tokenizer& tokenizer) {
  using Names = std::vector<std::string_view>;
  const std::pair<Order, Names> families[] = {
      // Qwen 2.5 Coder and others of its kind, StarCoder and SantaCoder, DeepSeek, CodeLlama.
      {Order::before_first, {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}},
      {Order::before_first, {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"}},
      {Order::before_first, {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"}},
      {Order::before_first, {"▁<PRE>", "▁<SUF>", "▁<MID>"}},
      // Codestral.
      {Order::behind_first, {"[SUFFIX]", "[PREFIX]"}},
  };
  for (const auto& [order, names] : families) {
    std::vector<u32> markers;
    for (const std::string_view name : names)
      if (const auto id = tokenizer.token_id(name)) markers.push_back(*id);
    if (markers.size() == names.size()) return MiddlePrompt(tokenizer, order, std::move(markers));
  }
  return std::nullopt;
}

std::vector<u32> MiddlePrompt::encode(std::string_view before, std::string_view behind,
                                      bool add_special, std::size_t most) const {
  std::vector<u32> ids;
  if (add_special) ids = tokenizer_->encode("", /*add_special_tokens=*/true);
  const auto add = [&](std::string_view text) {
    const auto more = tokenizer_->encode(text, /*add_special_tokens=*/false, most);
    ids.insert(ids.end(), more.begin(), more.end());
  };
  ids.push_back(markers_[0]);
  add(order_ == Order::before_first ? before : behind);
  ids.push_back(markers_[1]);
  add(order_ == Order::before_first ? behind : before);
  if (markers_.size() > 2) ids.push_back(markers_[2]);
  return ids;
}

} // namespace talaria::gateway
