#include "settings/reference.hpp"

#include <fmt/format.h>

#include "settings/protection.hpp"
#include "settings/table.hpp"

namespace talaria::settings {

namespace {

constexpr const char* kHead = R"(# Configuration

<!-- Made by `talaria config reference > docs/configuration.md` from the table in settings/ (settings/table.hpp).
     Change a setting there and run it again; tests/settings/reference_test.cpp compares. -->

Every setting of a `pipeline.yaml` with what it may be, its default, and the environment variable and the flag that give it as well.
[operations.md](operations.md) says what to do with them.

    talaria config check FILE           # all mistakes at once, with their lines; no model is loaded
    talaria config explain FILE         # every setting's value, and where it comes from: a line of the file, a variable, a flag, the default
    talaria config explain FILE --json --max-rows 64
    talaria config reference            # this page

**Which one counts.** The file comes first, environment variables override it, flags override both. Variables may strengthen what a file says
about `masking.scheme` and `masking.parameters`, and never weaken it. What belongs together is checked when all three are known.

**How values are written.** Sections are mappings: `pipeline.max_rows: 64` below is `pipeline: { max_rows: 64 }` in the file. Sizes are bytes, or
have a unit: `64KiB`, `512MiB`, `2GiB`. Durations have a unit: `100ms`, `2s`, `5min`, `1h`. Relative paths are relative to the file's folder, those
of variables and flags to the current one. Lists are written `[8, 64]` in the file and `8,64` behind a flag. A key that is not listed here is an
error, and so are aliases and a second document.

**While it runs** a gateway takes settings whose meaning ends with *Reloaded* from the file, when that has changed or on SIGHUP
([operations](operations.md#changing-the-workers-while-serving)). What else has changed is named in the log, and counts after a restart.

**Flags** below are those of `run`, `embed`, `logits`, `inspect`, `audit`, `config` and, but for `--scheme` and `--trace`, of `bench`. Of them `serve` takes
`--listen`, `--model-sha256` and `--task`, and `launch` the last two: what they serve with is in the file.
)";

/// What stands above the table of a top-level section.
struct Section {
  const char* name;
  const char* about;
};
constexpr Section kSections[] = {
    {"model", "Which model."},
    {"model_sha256", ""},
    {"task", ""},
    {"masking", "What is hidden from workers, and how ([threat model](threat_model.md), "
                "[padding](operations.md#padding))."},
    {"enclave", "What is hidden from the enclave's own host."},
    {"pipeline", "How work is cut; `talaria bench --tune` measures what is best."},
    {"workers", "See below for the keys of an entry."},
    {"tls", "Certificates between enclave and workers; needed with `workers`."},
    {"serve",
     "The API ([clients](operations.md#clients-of-the-api), [keys and "
     "limits](operations.md#who-asks), [streams](operations.md#the-stream-to-the-client))."},
    {"chat", "Chat templates."},
    {"telemetry", "What the gateway tells operators."},
    {"faults", "What is done about workers that fail ([faults](operations.md#faults))."},
    {"hints", "The disk cache of hints."},
    {"launch",
     "How workers are started and kept ([starting nodes](operations.md#starting-nodes))."},
};

constexpr const char* kProtection = R"(
`XDG_CACHE_HOME` (or `HOME`) says where the user's cache folder is, `XDG_RUNTIME_DIR` where `status` finds a running gateway.

**Less protection** needs a flag on the very command line, whatever file and variables say. `serve` and `launch` ask for each of these; `run`,
`logits`, `audit` and `inspect` know `--allow-clear`.

| flag | permits | what that gives away |
|---|---|---|
)";

std::string top_of(std::string_view key) {
  return std::string(key.substr(0, key.find('.')));
}

std::string code(const char* text) {
  return text == nullptr ? std::string() : fmt::format("`{}`", text);
}

template <class Target>
std::string value_text(const SettingOf<Target>& setting) {
  if (setting.range.empty()) return setting.type;
  if (setting.type == "word" || setting.type == "text" || setting.type == "address" ||
      setting.type == "layers" || setting.type == "share")
    return setting.range;
  return fmt::format("{}, {}", setting.type, setting.range);
}

template <class Target>
std::string default_text(const SettingOf<Target>& setting) {
  if (setting.is_required && setting.standard.empty()) return "required";
  if (setting.is_required) return fmt::format("{}; else required", setting.standard);
  return setting.standard.empty() ? "none" : setting.standard;
}

std::string flag_text(const Setting& setting) {
  return code(setting.flag);
}

std::string row_text(const Setting& setting) {
  return fmt::format("| `{}` | {} | {} | {} | {} | {}{} |\n", setting.key, value_text(setting),
                     default_text(setting), code(setting.variable), flag_text(setting),
                     setting.meaning, setting.is_reloaded ? ". *Reloaded*" : "");
}

constexpr const char* kColumns = "| setting | value | default | variable | flag | meaning |\n"
                                 "|---|---|---|---|---|---|\n";

/// Sections of one row share a table with the one before: `model_sha256` and `task`.
std::string section_text(const Section& section) {
  std::string text;
  if (*section.about != '\0')
    text = fmt::format("\n## {}\n{}\n\n{}", section.name, section.about, kColumns);
  for (const Setting& setting : table())
    if (setting.is_in_file && top_of(setting.key) == section.name) text += row_text(setting);
  return text;
}

std::string workers_text() {
  std::string text = "\n## Entries of workers\n"
                     "A worker holds layers, or a share of their columns; paths of workers that "
                     "talaria starts over ssh are paths of that machine.\n\n"
                     "| key | value | default | meaning |\n|---|---|---|---|\n";
  for (const WorkerSetting& setting : worker_table())
    text += fmt::format("| `{}` | {} | {} | {} |\n", setting.key, value_text(setting),
                        default_text(setting), setting.meaning);
  return text;
}

std::string session_text() {
  std::string text = "\n## Not in a file\nFor one command line; `talaria config explain` lists "
                     "them as `session`.\n\n| value | default | variable | flag | meaning |\n"
                     "|---|---|---|---|---|\n";
  for (const Setting& setting : table())
    if (!setting.is_in_file)
      text +=
          fmt::format("| {} | {} | {} | {} | {} |\n", value_text(setting), default_text(setting),
                      code(setting.variable), flag_text(setting), setting.meaning);
  text += kProtection;
  for (const Weakness& weakness : weaknesses())
    text +=
        fmt::format("| `{}` | {} | {} |\n", weakness.flag, weakness.setting, weakness.gives_away);
  return text;
}

} // namespace

std::string reference_page() {
  std::string page = kHead;
  for (const Section& section : kSections) page += section_text(section);
  return page + workers_text() + session_text();
}

} // namespace talaria::settings
