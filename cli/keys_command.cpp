#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "core/console.hpp"
#include "core/error.hpp"
#include "gateway/keys.hpp"
#include "settings/resolve.hpp"

namespace talaria::cli {

namespace {

using Keys = std::vector<gateway::StoredKey>;

struct KeysFlags {
  std::string name;
  std::string file = "talaria.keys";
  std::string config; ///< a pipeline.yaml that names the file; empty: it does not
  gateway::ClientLimits limits;
  bool json = false;
};

/// @throws Error{config} if the pipeline.yaml names no file of keys
KeysFlags with_file_of_config(KeysFlags flags) {
  if (flags.config.empty()) return flags;
  const auto settings = settings::load_pipeline_config(flags.config, ::getenv);
  if (!settings.serve.keys)
    throw Error(Errc::config,
                fmt::format("{}: names no file of keys; expected serve.keys", flags.config));
  flags.file = settings.serve.keys->string();
  return flags;
}

Keys::const_iterator find(const Keys& keys, const std::string& name) {
  return std::find_if(keys.begin(), keys.end(),
                      [&](const gateway::StoredKey& key) { return key.name == name; });
}

int add(const KeysFlags& flags) {
  const gateway::NewKey made = gateway::make_key(flags.name, flags.limits);
  gateway::edit_keys(flags.file, [&](Keys& keys) {
    if (find(keys, flags.name) != keys.end())
      throw Error(Errc::usage, fmt::format("{}: there is a key '{}'; remove it first, or choose "
                                           "another name",
                                           flags.file, flags.name));
    keys.push_back(made.stored);
  });
  if (flags.json)
    print_out("{}\n", nlohmann::json{{"name", flags.name}, {"key", made.key}}.dump());
  else
    print_out("{}\n", made.key);
  print_log("talaria: the key is shown this once; {} holds its hash", flags.file);
  return 0;
}

int remove(const KeysFlags& flags) {
  gateway::edit_keys(flags.file, [&](Keys& keys) {
    const auto found = find(keys, flags.name);
    if (found == keys.end())
      throw Error(Errc::usage, fmt::format("{}: there is no key '{}'", flags.file, flags.name));
    keys.erase(found);
  });
  return 0;
}

std::string limit_text(u32 limit) {
  return limit == 0 ? "-" : std::to_string(limit);
}

int list(const KeysFlags& flags) {
  const Keys keys = gateway::read_keys(flags.file);
  if (flags.json) {
    auto all = nlohmann::json::array();
    for (const auto& key : keys)
      all.push_back({{"name", key.name},
                     {"requests", key.limits.requests},
                     {"tokens_per_minute", key.limits.tokens_per_minute}});
    print_out("{}\n", all.dump());
    return 0;
  }
  print_out("{:24} {:>10} {:>18}\n", "name", "requests", "tokens a minute");
  for (const auto& key : keys)
    print_out("{:24} {:>10} {:>18}\n", key.name, limit_text(key.limits.requests),
              limit_text(key.limits.tokens_per_minute));
  return 0;
}

CLI::App* add_action(CLI::App& keys, const char* name, const char* what,
                     const std::shared_ptr<KeysFlags>& flags, int (*act)(const KeysFlags&),
                     Action& chosen) {
  CLI::App* command = keys.add_subcommand(name, what);
  CLI::Option* file =
      command->add_option("--file", flags->file, "the file of keys (default talaria.keys)");
  command->add_option("--config", flags->config, "the pipeline.yaml whose serve.keys is meant")
      ->excludes(file);
  command->callback([flags, act, &chosen] {
    chosen = [flags, act](InterruptWatch&) { return act(with_file_of_config(*flags)); };
  });
  return command;
}

} // namespace

void add_keys_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<KeysFlags>();
  CLI::App* keys = app.add_subcommand("keys", "Keys of those who may ask a server (serve.keys)");
  keys->require_subcommand(1);
  CLI::App* adding = add_action(*keys, "add", "Make a key and print it; the file keeps its hash",
                                flags, add, chosen);
  adding->add_option("NAME", flags->name, "whose key: letters, digits, '.', '_' and '-'")
      ->required();
  adding->add_option("--requests", flags->limits.requests, "at most so many under way at once")
      ->check(CLI::PositiveNumber);
  adding
      ->add_option("--tokens-per-minute", flags->limits.tokens_per_minute,
                   "at most so many tokens of prompts and answers a minute")
      ->check(CLI::PositiveNumber);
  adding->add_flag("--json", flags->json, "print one JSON object");
  CLI::App* removing = add_action(*keys, "remove", "Take a key back; a running server notices",
                                  flags, remove, chosen);
  removing->add_option("NAME", flags->name, "whose key")->required();
  add_action(*keys, "list", "Print names and limits", flags, list, chosen)
      ->add_flag("--json", flags->json, "print one JSON list");
}

} // namespace talaria::cli
