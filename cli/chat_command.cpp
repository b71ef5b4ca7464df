#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "cli/chat/chat_session.hpp"
#include "cli/chat/embedded_answerer.hpp"
#include "cli/chat/endpoint_answerer.hpp"
#include "cli/commands.hpp"
#include "cli/engine_flags.hpp"
#include "cli/local_nodes.hpp"
#include "cli/lora_flag.hpp"
#include "cli/prompts.hpp"
#include "core/console.hpp"
#include "settings/engine/process_setup.hpp"

namespace talaria::cli {

namespace {

struct ChatCommandFlags {
  EngineFlags engine;
  LoraFlag lora;
  ChatFlags chat;
  SamplingFlags sampling;
  std::optional<u32> max_tokens;
  std::string url; ///< empty: the engine in this process
  std::string key_file;
  std::string ca;
  std::string served_model;
  bool stats = false;
};

constexpr u32 kMaxTokens = 1024;

/// The first line of the file. @throws Error{io} naming it
std::string read_key(const std::string& file) {
  std::ifstream in(file);
  std::string key;
  if (!std::getline(in, key))
    throw Error(Errc::io, file + ": no key can be read; put it on the first line (--key-file)");
  while (key.ends_with('\r') || key.ends_with(' ')) key.pop_back();
  return key;
}

/// A terminal gets nothing that would control it; a file or pipe gets every byte.
ChatSession::Output chat_output(bool is_terminal) {
  const auto answer = [is_terminal](std::string_view text) {
    write_out(is_terminal ? for_terminal(text) : std::string(text));
  };
  const auto remark = [](std::string_view lines) {
    [[maybe_unused]] const bool written = write_fully(STDERR_FILENO, lines);
  };
  return {answer, remark};
}

int converse_with(Answerer& answerer, const ChatCommandFlags& flags, InterruptWatch& interrupts) {
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  const bool interactive = is_terminal && ::isatty(STDIN_FILENO) == 1;
  const auto lines = interactive ? edited_lines() : plain_lines();
  ChatSession session(*lines, answerer,
                      {flags.chat.system(), interactive, interactive || flags.stats},
                      chat_output(is_terminal));
  const OnEachSignal on_signal(interrupts, [&session](int signal) {
    if (signal == SIGINT) return session.interrupt();
    session.end();
    return true;
  });
  return session.run();
}

int chat_with_engine(const ChatCommandFlags& flags, InterruptWatch& interrupts) {
  config::PipelineConfig settings = flags.engine.resolve();
  pipeline::EngineOptions options = flags.engine.engine_options(settings);
  flags.lora.load(options);
  settings::set_up_process(settings);
  const auto nodes = start_local_nodes(settings, interrupts);
  int status = 0;
  {
    TerminalProgress progress;
    pipeline::Engine engine(options, progress);
    print_warnings(engine);
    if (!options.scheme.verify) print_log("talaria: warning: {}", kUnverifiedWarning);
    EmbeddedAnswerer answerer(
        engine,
        flags.chat.encoder(engine.model_files().texts(), engine.tokenizer(), settings.chat_date),
        {[&] { return flags.sampling.resolve(engine.generation_config()); },
         flags.max_tokens.value_or(kMaxTokens), settings.masking.scheme, flags.lora.of(engine)});
    status = converse_with(answerer, flags, interrupts);
  }
  if (nodes) nodes->stop();
  return status;
}

int chat_with_endpoint(const ChatCommandFlags& flags, InterruptWatch& interrupts) {
  WebClient::Options web;
  web.url = parse_url(flags.url, "--url");
  web.ca = flags.ca;
  if (!flags.key_file.empty()) web.key = read_key(flags.key_file);
  if (!web.url.tls && web.url.socket.empty() && !is_loopback(web.url.address.host))
    print_log("talaria: warning: {} is on another machine, and messages{} travel there without "
              "encryption",
              web.url.text, web.key.empty() ? "" : " and the key");
  EndpointAnswerer answerer(std::move(web),
                            {flags.served_model, flags.sampling.given(), flags.max_tokens});
  return converse_with(answerer, flags, interrupts);
}

int run_chat(const ChatCommandFlags& flags, InterruptWatch& interrupts) {
  if (flags.max_tokens && *flags.max_tokens == 0)
    throw Error(Errc::usage, "--max-tokens is 0: nothing to answer with; allow at least one token");
  return flags.url.empty() ? chat_with_engine(flags, interrupts)
                           : chat_with_endpoint(flags, interrupts);
}

} // namespace

void add_chat_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<ChatCommandFlags>();
  CLI::App* command = app.add_subcommand(
      "chat", "Chat in the terminal, with the engine in this process or an endpoint (--url)");
  flags->engine.add_to(*command);
  CLI::Option* const lora = flags->lora.add_to(*command);
  flags->chat.add_to(*command);
  flags->sampling.add_to(*command);
  command->add_option("--max-tokens", flags->max_tokens,
                      "tokens of an answer at most (default 1024; of an endpoint: its own)");
  auto* url = command->add_option("--url", flags->url,
                                  "an OpenAI endpoint: http://127.0.0.1:8000 as of talaria serve "
                                  "or connect, https://HOST/v1, unix:/PATH");
  command
      ->add_option("--key-file", flags->key_file, "file with the endpoint's key in its first line")
      ->needs(url);
  command->add_option("--ca", flags->ca, "authority that the endpoint's certificate is checked by")
      ->needs(url);
  command
      ->add_option("--served-model", flags->served_model,
                   "what the endpoint calls the model (default: the first it names)")
      ->needs(url);
  for (const char* other : {"--model", "--config"}) url->excludes(command->get_option(other));
  url->excludes(lora);
  command->add_flag("--stats", flags->stats,
                    "tokens and times behind each answer, on standard error, without a terminal "
                    "too");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch& interrupts) { return run_chat(*flags, interrupts); };
  });
}

} // namespace talaria::cli
