#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cli/interrupt.hpp"

namespace talaria::cli {

/// `talaria receipt replay`. What is empty was not given.
struct ReplayOptions {
  std::filesystem::path file; ///< a receipt with its salts
  std::filesystem::path model;
  std::filesystem::path lora;    ///< the adapter that the receipt names, if it names one
  std::filesystem::path request; ///< the body that was sent; else the one in `file`
  std::optional<std::string> prompt;
  std::optional<std::string> system; ///< message of a chat before `prompt`
  std::string prompt_tokens;         ///< "1,2,3", in the place of `prompt`
  std::string key;                   ///< that the receipt must be signed by; else the one in `file`
  std::string chat_date;             ///< what a template is told; empty: the day of the receipt
  bool allow_special = false;
  std::size_t threads = 0;
  bool json = false;
};

/// Computes the answers of a receipt anew on this machine and compares them with it, token for
/// token, by their hashes. Prints what it found to standard output.
/// @return 0 they are the same, bit for bit; 7 no receipt, or not signed by the key; 8 the model or
/// the adapter is another one; 9 the prompt or an answer differs.
/// @throws Error for flags, files and models that cannot be used.
int replay_receipt(const ReplayOptions& options, InterruptWatch& interrupts);

} // namespace talaria::cli
