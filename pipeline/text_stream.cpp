#include "pipeline/text_stream.hpp"

#include <algorithm>
#include <utility>

namespace talaria::pipeline {

TextStream::TextStream(const model::Tokenizer& tokenizer, std::vector<std::string> stops,
                       std::shared_ptr<const model::TokenTable> table, TextOptions options)
    : decoder_(std::in_place, tokenizer, options.skip_special, std::move(table)),
      stops_(std::move(stops)), with_stop_(options.with_stop) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string TextStream::push(u32 token) {
  if (stopped() || !decoder_) return {};
  held_ += decoder_->push(token);
  return release(false);
}

std::string TextStream::finish() {
  if (stopped() || !decoder_) return {};
  held_ += decoder_->finish();
  return release(true);
}

/// Gives out what is certain: up to the first stop string, or up to where one may have begun.
std::string TextStream::release(bool everything) {
  std::size_t certain = held_.size();
  for (const std::string& stop : stops_) {
    const auto at = held_.find(stop);
    if (at == std::string::npos || at >= certain) continue;
    stopped_by_ = stop;
    certain = at;
  }
  if (stopped() && with_stop_) certain += stopped_by_.size();
  if (!stopped() && !everything)
    for (const std::string& stop : stops_)
      for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > 0; --n)
        if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, n))) {
          certain = std::min(certain, held_.size() - n);
          break;
        }
  std::string out = held_.substr(0, certain);
  held_.erase(0, certain);
  return out;
}

} // namespace talaria::pipeline
