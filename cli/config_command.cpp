#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/setting_flags.hpp"
#include "core/console.hpp"
#include "gateway/keys.hpp"
#include "settings/explain.hpp"
#include "settings/reference.hpp"

namespace talaria::cli {

namespace {

using settings::FlagGroup;

struct ConfigFlags {
  std::string file;
  SettingFlags flags;
  settings::Allowances allowed;
  bool json = false;
};

/// What only `serve` and `launch` refuse.
void print_weaknesses(const ConfigFlags& flags, const config::PipelineConfig& config) {
  for (const settings::Weakness* weakness : settings::unpermitted(config.masking, flags.allowed))
    print_out("{}: note: {}: {}; serve and launch ask for {}\n", flags.file, weakness->setting,
              weakness->gives_away, weakness->flag);
}

int check(const ConfigFlags& flags) {
  const config::PipelineConfig config = resolve_target(flags.file, flags.flags.given()).config;
  if (config.serve.keys) gateway::read_keys(*config.serve.keys);
  print_weaknesses(flags, config);
  print_out("{}: in order\n", flags.file);
  return 0;
}

nlohmann::json to_json(const settings::Explanation& row) {
  nlohmann::json out{
      {"key", row.key}, {"source", settings::to_string(row.source)}, {"where", row.where}};
  out["value"] = row.value.empty() ? nlohmann::json() : nlohmann::json(row.value);
  if (row.source == settings::Source::file) {
    out["line"] = row.at.line;
    out["column"] = row.at.column;
  }
  return out;
}

int explain(const ConfigFlags& flags) {
  const auto rows = settings::explain(resolve_target(flags.file, flags.flags.given()));
  if (!flags.json) {
    print_out("{}", settings::to_text(rows));
    return 0;
  }
  auto all = nlohmann::json::array();
  for (const settings::Explanation& row : rows) all.push_back(to_json(row));
  print_out("{}\n", nlohmann::json{{"settings", std::move(all)}}.dump(
                        -1, ' ', false, nlohmann::json::error_handler_t::replace));
  return 0;
}

void add_common(CLI::App& command, ConfigFlags& flags) {
  command.add_option("FILE", flags.file, "pipeline.yaml, a model folder or a GGUF file")
      ->required();
  flags.flags.add_to(command, {FlagGroup::model, FlagGroup::pin, FlagGroup::engine,
                               FlagGroup::scheme, FlagGroup::serve});
  add_allowances(command, flags.allowed);
}

} // namespace

void add_config_command(CLI::App& app, Action& chosen) {
  CLI::App* config = app.add_subcommand("config", "Check and explain settings; load nothing");
  config->require_subcommand(1);
  auto checked = std::make_shared<ConfigFlags>();
  CLI::App* check_it = config->add_subcommand(
      "check", "Every mistake of file, environment and flags; exit status 2 if there is any");
  add_common(*check_it, *checked);
  check_it->callback(
      [checked, &chosen] { chosen = [checked](InterruptWatch&) { return check(*checked); }; });
  auto explained = std::make_shared<ConfigFlags>();
  CLI::App* explain_it =
      config->add_subcommand("explain", "Every setting's value, and where it comes from");
  add_common(*explain_it, *explained);
  explain_it->add_flag("--json", explained->json, "print one JSON object");
  explain_it->callback([explained, &chosen] {
    chosen = [explained](InterruptWatch&) { return explain(*explained); };
  });
  config->add_subcommand("reference", "Print docs/configuration.md: all settings there are")
      ->callback([&chosen] {
        chosen = [](InterruptWatch&) {
          print_out("{}", settings::reference_page());
          return 0;
        };
      });
}

} // namespace talaria::cli
